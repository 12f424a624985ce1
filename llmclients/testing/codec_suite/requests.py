"""Checks of what goes out."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import llmclients.types.content
from llmclients.codecs.base import Codec, Context, EncodedRequest
from llmclients.errors import APIError, ConfigurationError, UnsupportedOptionError
from llmclients.testing.codec_suite.base import (
    KEY,
    PARTS,
    TIME,
    Checks,
    codec_options,
    each,
    fields,
    missing_fields,
    missing_parts,
    parts,
    requests,
)
from llmclients.testing.codec_suite.mutations import mutations
from llmclients.testing.codec_suite.purity import sealed
from llmclients.testing.codec_suite.recording import Recording
from llmclients.testing.codec_suite.samples import FIELD_VALUES, MALFORMED, SPECIAL_TEXT, TOOLS, guesses, strings
from llmclients.types.messages import Message, Messages, ToolCall
from llmclients.types.request import ChatRequest

__all__ = ["RequestChecks"]

_MEDIA_TYPES = {"image": "image/png", "audio": "audio/wav", "file": "application/pdf"}
_DATA = b"The bytes of a part."
_PART_URL = "https://codec.test/part"
_NOT_OPTIONS = {"messages", "model", "extra"}


class RequestChecks(Checks):
    """What `encode` must do, and what must be an error before it."""

    _lone_surrogates: ClassVar[Sequence[str]] = ("\ud800", "x\udfff")

    def test_the_codec_describes_itself(self) -> None:
        codec = self.codec
        assert isinstance(codec, Codec)
        assert isinstance(codec.name, str) and codec.name == codec.name.strip().lower() and codec.name, "name"  # noqa: PT018
        unknown = set(codec.fields) - (set(ChatRequest.model_fields) - _NOT_OPTIONS)
        assert not unknown, f"fields that are none of ChatRequest's options: {unknown}"
        assert set(codec.parts) <= set(PARTS), f"parts that there are not: {set(codec.parts) - set(PARTS)}"
        taken = set(codec.options.model_fields) & set(ChatRequest.model_fields)
        assert not taken, f"options of its own with names of ChatRequest's: {taken}"

    @each(requests)
    def test_a_recorded_request_goes_out_byte_for_byte(self, request: Recording) -> None:
        expected = request.expected
        encoded = self._recorded(request)

        assert encoded.body == request.data, f"the body is\n{encoded.body!r}\nnot\n{request.data!r}"
        for name in ("path", "method"):
            if name in expected:
                assert getattr(encoded, name) == expected[name], f"the {name} is {getattr(encoded, name)!r}"
        if "headers" in expected:
            assert [list(header) for header in encoded.headers] == expected["headers"], encoded.headers

    def test_the_same_request_is_the_same_bytes(self) -> None:
        first = self.encode()
        self.encode("Something else.")
        assert self.encode() == first, "the same request again is other bytes: something is kept, or made up"
        assert isinstance(first, EncodedRequest)
        assert first.path.startswith("/")

    def test_encoding_asks_nothing_of_the_world(self) -> None:
        request, context = self.request(), self.context()
        self.codec.encode(request, context)  # what is loaded when it is first needed is loaded now
        with sealed(self.codec):
            self.codec.encode(request, context)

    def test_encoding_leaves_the_request_as_it_was(self) -> None:
        messages = [Message("system", "Be brief."), Message("user", "Hello!"), Message("assistant", "Hi.")]
        tools = {"tools": TOOLS} if "tools" in self.codec.fields else {}
        request = self.request([*messages, Message("user", "And now?")], extra={"x": {"y": [1]}}, **tools)
        before = request.model_copy(deep=True)
        for stream in (False, True):
            self.codec.encode(request, self.context(stream=stream))
            assert request == before, f"encode changed the request: {request!r}"

    def test_the_body_is_json_in_utf8(self) -> None:
        for stream in (False, True):
            encoded = self.codec.encode(self.request(SPECIAL_TEXT), self.context(stream=stream))
            assert isinstance(_payload(encoded), dict)
            assert _says(encoded, SPECIAL_TEXT), f"the text went out otherwise: {encoded.body!r}"

    def test_what_utf8_cannot_carry_is_an_error(self) -> None:
        for text in self._lone_surrogates:
            for extra in ({"x": text}, {"x": [{text: 1}]}):
                assert self._raises(extra=extra), f"a lone surrogate goes out: {extra!r}"

    def test_extra_comes_last(self) -> None:
        plain = _payload(self.encode())
        first = next(iter(plain))
        extra = {"suite_member": [1, None], first: "replaced"}
        assert _payload(self.encode(extra=extra)) == plain | extra

    def test_the_key_is_for_the_headers(self) -> None:
        encoded = self.encode()
        assert KEY not in encoded.path, "an address is logged, and the key with it"
        assert KEY not in repr(encoded)

    @each(fields)
    def test_a_field_of_the_wire_reaches_it(self, field: str) -> None:
        needed, values = FIELD_VALUES[field]
        needed = {name: value for name, value in needed.items() if name in self.codec.fields}
        values = self.field_values.get(field, values)
        plain, errors = self.encode(**needed), 0
        for value in values:
            try:
                encoded = self.encode(**needed, **{field: value})
            except ConfigurationError:  # a value that this wire or model has not; another it must have
                errors += 1
            else:
                assert encoded != plain, f"{field}={value!r} is dropped silently"
        assert errors < len(values), f"{field} is among the codec's fields, but each of {values} is an error"

    @each(codec_options)
    def test_a_codec_option_reaches_the_wire(self, option: str) -> None:
        for request in requests(self):
            others = dict(request.expected.get("codec_options", {}))
            if option not in others:
                continue
            del others[option]
            with suppress(ConfigurationError):  # another option needs it
                if self._recorded(request, codec_options=others) != self._recorded(request):
                    return
        annotation = self.codec.options.model_fields[option].annotation
        plain, asked = self.encode(), self.request()
        for value in (*self.option_values.get(option, ()), *guesses(annotation)):
            try:
                encoded = self.codec.encode(asked, self.context(**{option: value}))
            except ConfigurationError:
                continue
            if encoded != plain:
                return
        raise AssertionError(
            f"the option {option} goes nowhere; if it takes special values, give option_values, or record a request"
        )

    @each(missing_fields)
    def test_a_field_that_the_wire_lacks_is_an_error(self, field: str) -> None:
        needed, (value, *_) = FIELD_VALUES[field]
        needed = {name: given for name, given in needed.items() if name in self.codec.fields}
        argument = None
        with self.client() as (client, mock):
            try:
                client.chat("Hello!", **needed, **{field: value})
            except UnsupportedOptionError as error:
                argument = error.argument
            assert argument == field, f"{field} is no error"
            assert mock.requests == [], "it is an error, but only when sent"

    @each(parts)
    def test_a_part_of_the_wire_reaches_it(self, part: str) -> None:
        kind, source = part.split()
        media_types = sorted(self.codec.parts[kind].media_types) or [_MEDIA_TYPES[kind]]
        for media_type in media_types if source == "data" else media_types[:1]:
            encoded = list(self._with_part(kind, source, media_type))
            assert encoded, f"{part} ({media_type}) is among the codec's parts, but is an error"
            for one in encoded:
                marks = [_PART_URL] if source == "url" else [base64.b64encode(_DATA).decode(), _DATA.decode()]
                assert any(_says(one, mark) for mark in marks), f"{part} ({media_type}) is dropped silently"
                assert _says(one, "Look at this."), "the text beside it is dropped silently"

    @each(missing_parts)
    def test_a_part_that_the_wire_lacks_is_an_error(self, part: str) -> None:
        kind, source = part.split()
        with self.client() as (client, mock):
            for given in _parts(kind, source, _MEDIA_TYPES[kind]):
                try:
                    client.chat(Message("user", [{"type": "text", "text": "Look at this."}, given]))
                except UnsupportedOptionError:
                    continue
                raise AssertionError(f"{part} is no error")
            assert mock.requests == []

    def test_tool_calls_and_their_results_are_carried_or_an_error(self) -> None:
        call = ToolCall("call_suite", "weather_now", '{"city": "Tromsø"}')
        messages = [
            Message("user", "How warm is it?"),
            Message("assistant", "I look.", tool_calls=[call]),
            Message("tool", "4 degrees below", tool_call_id="call_suite"),
        ]
        has_tools = "tools" in self.codec.fields
        self._check_carried(
            messages,
            ["weather_now", "Tromsø", "I look.", "4 degrees below"],
            must=has_tools,
            **({"tools": TOOLS} if has_tools else {}),
        )

    def test_every_role_is_carried_or_an_error(self) -> None:
        for role in ("system", "developer", "user", "assistant"):
            message = Message.model_validate({"role": role, "content": f"I am {role}."})
            before = [Message("user", "Before.")] if role == "assistant" else []
            self._check_carried([*before, message, Message("user", "Now.")], [f"I am {role}."], must=role == "user")

    def test_the_list_of_models_is_a_list_or_an_error(self) -> None:
        encoded = self.codec.encode_models(self.context())
        answers = [("models", b'{"data": [{"id": "a", "name": "b"}], "models": [{"id": "a", "name": "b"}]}')]
        changed = [(f"{name} with {change}", body) for name, change, body in mutations(answers)]
        for what, body in [*((repr(data[:50]), data) for data in MALFORMED), *changed]:
            try:
                names = self.codec.decode_models(body)
            except APIError:
                continue
            assert encoded is not None, "there is no question for the models, but an answer"
            assert isinstance(names, list) and all(type(name) is str for name in names), f"{what} is {names!r}"  # noqa: PT018

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _raises(self, messages: Messages = "Hello!", **options: Any) -> bool:
        try:
            self.encode(messages, **options)
        except ConfigurationError:
            return True
        return False

    def _check_carried(self, messages: Sequence[Message], texts: Sequence[str], *, must: bool, **options: Any) -> None:
        """The texts go out, or unless they must, the messages are an error."""
        if not must and self._raises(messages, **options):
            return
        encoded = self.encode(messages, **options)
        lost = [text for text in texts if not _says(encoded, text)]
        assert not lost, f"dropped silently: {lost}"

    def _recorded(self, request: Recording, **changed: Any) -> EncodedRequest:
        """What the codec makes of what was asked."""
        expected = {**request.expected, **changed}
        context = Context(
            model=expected.get("model", self.model),
            stream=expected.get("stream", False),
            api_key=expected.get("api_key"),
            is_default_endpoint=expected.get("is_default_endpoint", True),
            options=self.codec.options(**expected.get("codec_options", {})),
            state=expected.get("state", {}),
            unix_time=TIME,
            random=random.Random(1),
        )
        return self.codec.encode(
            ChatRequest.from_messages(expected["messages"], **expected.get("options", {})), context
        )

    def _with_part(self, kind: str, source: str, media_type: str) -> Iterator[EncodedRequest]:
        for given in _parts(kind, source, media_type):
            message = Message("user", [{"type": "text", "text": "Look at this."}, given])
            try:
                yield self.encode(message)
            except ConfigurationError:
                continue


def _parts(kind: str, source: str, media_type: str) -> Iterator[Any]:
    """The part as it may be given: some wires want an address's type, and others have no place for it."""
    part: Any = getattr(llmclients.types.content, f"{kind.capitalize()}Part")
    if source == "data":
        yield part(_DATA, media_type=media_type)
    else:
        yield part(_PART_URL)
        yield part(_PART_URL, media_type=media_type)


def _payload(encoded: EncodedRequest) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(encoded.body.decode())
    return payload


def _says(encoded: EncodedRequest, text: str) -> bool:
    """Whether the text is in one of the body's strings, also in JSON inside JSON."""
    found: Mapping[str, Any] = _payload(encoded)
    return any(text in string for string in strings(found))
