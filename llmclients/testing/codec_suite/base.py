"""What the checks share: the codec, its recordings, and one test for each of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from llmclients.client import Client
from llmclients.codecs.base import Codec, Context, EncodedRequest, StreamDecoder
from llmclients.providers.provider import Provider
from llmclients.providers.registry import registered
from llmclients.testing.codec_suite.recording import KINDS, Recording, from_table, load_recordings
from llmclients.testing.codec_suite.samples import FIELD_VALUES
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.messages import Messages
from llmclients.types.request import ChatRequest

__all__ = ["KEY", "Checks"]

KEY = "key-of-the-suite"
URL = "http://codec.test"
TIME = 1767225600.0
PARTS = ("image", "audio", "file")


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

    _cases: ClassVar[Mapping[str, Sequence[Any]]] = {}
    _without_cases: ClassVar[set[str]] = set()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not hasattr(cls, "codec"):
            return
        cls._cases = cls._all_cases()
        cls._without_cases = set()
        for name, function in cls._every_check().items():
            if name in vars(cls) or function is None:  # the author's own, or switched off
                continue
            has_cases = all(cls._cases[one] for one in cls._arguments(function))
            if not has_cases:  # a check of what the wire has not is no test, neither passed nor skipped
                cls._without_cases.add(name)
            setattr(cls, name, function if has_cases else None)

    @classmethod
    def checks(cls) -> Iterator[tuple[str, Callable[[], None]]]:
        """Every test by name, with its case, and the function that runs it: for those who do without pytest."""
        for name in cls._every_check():
            check = getattr(cls(), name)
            if check is None:
                continue
            arguments = cls._arguments(check)
            for case in cls._cases[arguments[0]] if arguments else ():
                yield f"{name}[{case}]", partial(check, case)
            if not arguments:
                yield name, check

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """pytest's own hook: a test for each case."""
        for name in set(metafunc.fixturenames) & set(self._cases):
            metafunc.parametrize(name, self._cases[name], ids=str)

    # --- what tests are given ---------------------------------------------------------------------------------------

    @classmethod
    def recorded(cls, kind: str) -> list[Recording]:
        """The recordings of a kind: `requests`, `replies`, `streams` or `errors`."""
        found = from_table(kind, getattr(cls, kind))
        return found + (load_recordings(cls.recordings, kind) if cls.recordings else [])

    @classmethod
    def _all_cases(cls) -> Mapping[str, Sequence[Any]]:
        requests, replies, streams, errors = map(cls.recorded, KINDS)
        rules = cls.codec.parts
        forms = [f"{kind} {form}" for kind in PARTS for form in ("data", "url")]
        carried = [
            form for form in forms if (rule := rules.get(form.split()[0])) and (rule.urls, rule.data)["data" in form]
        ]
        return {
            "asked": requests,
            "reply": replies,
            "stream": streams,
            "good_stream": [case for case in streams if not case.fails],
            "failing_stream": [case for case in streams if case.fails],
            "refusal": errors,
            "good_answer": [case for case in (replies if cls.codec.whole_replies else streams) if not case.fails],
            "field": [name for name in FIELD_VALUES if name in cls.codec.fields],
            "missing_field": [name for name in FIELD_VALUES if name not in cls.codec.fields],
            "own_option": list(cls.codec.options.model_fields),
            "part": carried,
            "missing_part": [form for form in forms if form not in carried],
        }

    @classmethod
    def _every_check(cls) -> dict[str, Callable[..., None] | None]:
        """Every check by name, those that have no cases included; None for one that is switched off."""
        found: dict[str, Callable[..., None] | None] = {}
        for kind in cls.__mro__:
            without_cases = vars(kind).get("_without_cases", ())
            for name, value in vars(kind).items():
                if name.startswith("test_") and name not in without_cases:
                    found.setdefault(name, value)
        return found

    @classmethod
    def _arguments(cls, function: Callable[..., None]) -> list[str]:
        return [name for name in inspect.signature(function).parameters if name in cls._cases]

    # --- asking the codec -------------------------------------------------------------------------------------------

    def request(self, messages: Messages = "Hello!", **options: Any) -> ChatRequest:
        """A request as a codec is given it."""
        return ChatRequest.from_messages(messages, model=self.model, **options)

    def context(self, *, stream: bool = False, **own: Any) -> Context:
        """What it is given beside it: the same in every run."""
        return Context(
            model=self.model,
            stream=stream,
            api_key=KEY,
            options=self.codec.options(**own),
            unix_time=TIME,
            random=Random(1),
        )

    def encode(self, messages: Messages = "Hello!", **options: Any) -> EncodedRequest:
        """What the codec makes of that."""
        return self.codec.encode(self.request(messages, **options), self.context())

    def decoder(self, case: Recording) -> StreamDecoder:
        """A new decoder for a recorded stream."""
        return self.codec.stream_decoder(case.content_type)

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
