"""`Checks`: the codec under test and its recordings; and `each`, which makes a check of one case a test of them all."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar, TypeVar

from llmclients.client import Client
from llmclients.codecs.base import Codec, CodecOptions, Context, EncodedRequest, StreamDecoder
from llmclients.providers.provider import Provider
from llmclients.providers.registry import registered
from llmclients.testing.codec_suite.recording import Recording, from_table, load_recordings
from llmclients.testing.codec_suite.samples import FIELD_VALUES
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.messages import Messages
from llmclients.types.request import ChatRequest

__all__ = ["KEY", "PARTS", "TIME", "Checks", "each"]

KEY = "key-of-the-suite"
URL = "http://codec.test"
TIME = 1767225600.0
"""The Unix time, in seconds, of every request."""
PARTS = ("image", "audio", "file")

T = TypeVar("T")
_Cases = Callable[[Any], Sequence[T]]


def each(cases: _Cases[T]) -> Callable[[Callable[[Any, T], None]], Callable[[Any], None]]:
    """Make a check of one case a test of all of them, which fails once and names every case that failed.

    Args:
        cases: what the cases of a suite are, such as `replies` below.
    """

    def decorate(check: Callable[[Any, T], None]) -> Callable[[Any], None]:
        def test(self: Checks) -> None:
            failures: list[tuple[T, Exception]] = []
            for case in cases(self):
                try:
                    check(self, case)
                except Exception as error:  # noqa: BLE001 - a crash is a failure, too
                    failures.append((case, error))
            if failures:
                raise AssertionError("\n".join(_failure(*failure) for failure in failures)) from failures[0][1]

        functools.update_wrapper(test, check)
        del test.__wrapped__  # type: ignore[attr-defined]  # else pytest takes the case for a fixture
        test.__dict__.update(check=check, cases=cases)
        return test

    return decorate


def _failure(case: object, error: Exception) -> str:
    return f"[{case}] {error}" if isinstance(error, AssertionError) else f"[{case}] {type(error).__name__}: {error}"


class Checks:
    """The codec under test, and what its tests are given. `CodecSuite` describes the attributes."""

    codec: ClassVar[Codec]
    recordings: ClassVar[Path | None] = None
    requests: ClassVar[Sequence[tuple[Mapping[str, Any], bytes]]] = ()
    replies: ClassVar[Sequence[tuple[Any, ...]]] = ()
    streams: ClassVar[Sequence[tuple[Any, ...]]] = ()
    errors: ClassVar[Sequence[tuple[int, Mapping[str, str], bytes, type]]] = ()
    model: ClassVar[str] = "model"
    has_end_mark: ClassVar[bool] = True
    field_values: ClassVar[Mapping[str, Sequence[Any]]] = {}
    option_values: ClassVar[Mapping[str, Sequence[Any]]] = {}

    @classmethod
    def checks(cls) -> Iterator[tuple[str, Callable[[], None]]]:
        """Every test by name, with its case, and the function that runs it: for those who do without pytest."""
        suite = cls()
        for name in dir(cls):
            test = getattr(suite, name) if name.startswith("test_") else None
            if test is None:  # switched off
                continue
            if not hasattr(test, "cases"):
                yield name, test
                continue
            for case in test.cases(suite):
                yield f"{name}[{case}]", partial(test.check, suite, case)

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:
        """The recordings of a kind: `requests`, `replies`, `streams` or `errors`."""
        found = from_table(kind, getattr(cls, kind))
        return found + (load_recordings(cls.recordings, kind) if cls.recordings else [])

    # --- asking the codec -------------------------------------------------------------------------------------------

    def request(self, messages: Messages = "Hello!", **options: Any) -> ChatRequest:
        """A request as a codec is given it."""
        return ChatRequest.from_messages(messages, model=self.model, **options)

    def context(self, *, stream: bool = False, **codec_options: Any) -> Context:
        """What it is given beside it: the same in every run."""
        return Context(
            model=self.model,
            stream=stream,
            api_key=KEY,
            options=self.codec.options(**codec_options),
            unix_time=TIME,
            random=Random(1),
        )

    def encode(self, messages: Messages = "Hello!", **options: Any) -> EncodedRequest:
        """What the codec makes of that."""
        return self.codec.encode(self.request(messages, **options), self.context())

    def decoder(self, stream: Recording) -> StreamDecoder:
        """A new decoder for a recorded stream."""
        return self.codec.stream_decoder(stream.content_type)

    @contextmanager
    def provider(self) -> Iterator[str]:
        """The name of a provider that has the codec, for as long as the block runs."""
        name = self.codec.name
        with registered(Provider(name, self.codec, URL, default_model=self.model)):
            yield name

    @contextmanager
    def client(self, script: Iterable[Reply] = ()) -> Iterator[tuple[Client, MockTransport]]:
        """A client of that provider, and its transport."""
        mock = MockTransport(script)
        with self.provider() as name, Client(name, api_key=KEY, retry=None, transport=mock) as client:
            yield client, mock


# --- cases ----------------------------------------------------------------------------------------------------------


def requests(suite: Checks) -> list[Recording]:
    """The recorded requests."""
    return suite.recorded("requests")


def replies(suite: Checks) -> list[Recording]:
    """The recorded whole replies."""
    return suite.recorded("replies")


def streams(suite: Checks) -> list[Recording]:
    """The recorded streams."""
    return suite.recorded("streams")


def good_streams(suite: Checks) -> list[Recording]:
    """Those that end well."""
    return [stream for stream in streams(suite) if not stream.fails]


def failing_streams(suite: Checks) -> list[Recording]:
    """Those that end in an error."""
    return [stream for stream in streams(suite) if stream.fails]


def errors(suite: Checks) -> list[Recording]:
    """The recorded error bodies."""
    return suite.recorded("errors")


def good_answers(suite: Checks) -> list[Recording]:
    """What `chat` reads: the whole replies, or the streams of a wire that has no other, which are no errors."""
    return [case for case in (replies if suite.codec.whole_replies else streams)(suite) if not case.fails]


def fields(suite: Checks) -> list[str]:
    """The fields of `ChatRequest` that the wire has."""
    return [name for name in FIELD_VALUES if name in suite.codec.fields]


def missing_fields(suite: Checks) -> list[str]:
    """Those that it lacks."""
    return [name for name in FIELD_VALUES if name not in suite.codec.fields]


def codec_options(suite: Checks) -> list[str]:
    """The codec's own options."""
    return [name for name in suite.codec.options.model_fields if name not in CodecOptions.model_fields]


def parts(suite: Checks) -> list[str]:
    """The parts that the wire has: `image data`, `image url`, `audio data`, …"""
    return [part for part in _ALL_PARTS if _has_part(suite, part)]


def missing_parts(suite: Checks) -> list[str]:
    """Those that it lacks."""
    return [part for part in _ALL_PARTS if not _has_part(suite, part)]


_ALL_PARTS = [f"{kind} {source}" for kind in PARTS for source in ("data", "url")]


def _has_part(suite: Checks, part: str) -> bool:
    kind, source = part.split()
    rule = suite.codec.parts.get(kind)
    return rule is not None and (rule.data if source == "data" else rule.urls)
