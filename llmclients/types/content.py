"""`TextPart`, `ImagePart`, `AudioPart` and `FilePart`: what a message's content consists of, where it is not just text.

A part of bytes is checked when it is made: where they come from, how many they are, of what media type. What a provider
takes of that (`PartRule`) is its codec's to say.
"""

# Without `from __future__ import annotations`: the head of `types/base.py` says why.

import base64
import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, field_serializer, field_validator, model_validator
from typing_extensions import Self, TypedDict, Unpack

from llmclients.errors import InvalidRequestError, shown_url
from llmclients.types.base import Model, Text
from llmclients.types.media_types import (
    UNKNOWN_BYTES,
    is_media_type,
    looks_like_a_page,
    normalized,
    settled,
    sniff_media_type,
)
from llmclients.types.printing import Pairs
from llmclients.types.sources import MAX_PART_BYTES, decode_base64, parse_data_url, read_file

__all__ = [
    "MAX_PART_BYTES",
    "AudioPart",
    "FilePart",
    "ImagePart",
    "MediaPart",
    "Part",
    "TextPart",
    "as_part",
    "is_part",
]

Source: TypeAlias = str | bytes | os.PathLike[str]


class TextPart(Model):
    """A piece of text in a message that has several parts."""

    type: Literal["text"] = "text"
    text: Text


# The constructors of media parts take a source, which is no field, and any field by name. For type checkers and editors
# the names are listed here. At run time all of them go to pydantic, whose errors name a field that is wrong or unknown.


class _MediaFields(TypedDict, total=False):
    url: str | None
    data: bytes | None
    media_type: str | None


class _ImageFields(_MediaFields, total=False):
    type: Literal["image"]
    detail: Literal["auto", "low", "high"] | None


class _AudioFields(_MediaFields, total=False):
    type: Literal["audio"]


class _FileFields(_MediaFields, total=False):
    type: Literal["file"]
    name: str | None


class MediaPart(Model):
    """What images, audio and files have in common: bytes, or an address that the provider fetches them from.

    Args:
        source: the bytes, a path to read them from, a `data:` URL, or an `https:` URL for the provider to fetch.
            A string is always a URL, never a path: a text from outside must not make a program read its files.
        url: the same as a source that is an `https:` URL.
        data: the same as a source of bytes; a string is base64.
        media_type: such as `image/png`. Where the first bytes show what they are, that counts, whatever is said here.

    Raises:
        InvalidRequestError: no source or two, no bytes or more than `MAX_PART_BYTES`, an unreadable path, a media type
            that is unknown or of another kind of part.
    """

    _type: ClassVar[str] = ""
    _media_type_prefix: ClassVar[str] = ""

    type: str
    url: Text | None = None
    data: bytes | None = Field(default=None, repr=False)
    media_type: Text | None = None

    def __init__(self, source: Source | None = None, **fields: Any) -> None:
        if source is not None:
            fields |= _read_source(source, fields)
        fields.setdefault("type", self._type)  # no default of the field: it is saved even where defaults are not
        super().__init__(**fields)

    @field_validator("data", mode="before")
    @classmethod
    def _decode_data(cls, data: Any) -> Any:
        return decode_base64(data) if isinstance(data, str) else data

    @field_serializer("data", when_used="json-unless-none")
    def _encode_data(self, data: bytes) -> str:  # pydantic's own base64 has the alphabet of URLs
        return base64.b64encode(data).decode()

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.url is None) == (self.data is None):
            raise ValueError("needs either a url or data")
        if self.url is not None and not self.url.lower().startswith(("http://", "https://", "gs://")):
            raise ValueError("the url must begin with https:// (or http://, gs://); give bytes or a pathlib.Path else")
        if self.url is not None and not _is_url(self.url):
            raise ValueError("the url has no host, or a line end or the like in it")
        if self.media_type is not None:
            self.media_type = self._checked_label(normalized(self.media_type))
        if self.data is not None:
            if not self.data:
                raise ValueError("data is empty")
            if len(self.data) > MAX_PART_BYTES:
                raise ValueError(f"data has {len(self.data)} bytes, more than {MAX_PART_BYTES}")
            self.media_type = self._settle_media_type(self.data, self.media_type)
            if not self.media_type.startswith(self._media_type_prefix):
                raise ValueError(f"is {self.media_type}, not {self._media_type_prefix}…")
        return self

    def _shown(self) -> Pairs:
        for name, value in self.__dict__.items():
            if name == "url" and value is not None:
                yield "url", shown_url(value)
            elif name != "type" and value is not None:
                yield name, value

    def _checked_label(self, label: str) -> str:
        """The label, or what the bytes show in place of one that says nothing."""
        if is_media_type(label):
            return label
        shown = None if self.data is None else sniff_media_type(self.data)
        if shown is None:
            raise ValueError(f"media_type: {label!r} is no media type, such as image/png")
        return shown

    def _settle_media_type(self, data: bytes, label: str | None) -> str:
        if label in UNKNOWN_BYTES:
            label = None
        if label is not None and not label.startswith(self._media_type_prefix):
            return label  # an image that is called a text is one mistake or another
        if looks_like_a_page(data):
            raise ValueError(f"is an HTML page, not {self._media_type_prefix}…")
        media_type = settled(label, data, is_document=False)
        if media_type is None:
            raise ValueError("the data's type cannot be told from its first bytes: give media_type=")
        return media_type

    @property
    def base64(self) -> str:
        """The bytes in base64; empty for a part that has an address."""
        return base64.b64encode(self.data or b"").decode()

    @property
    def any_url(self) -> str:
        """The address, or the bytes as a `data:` URL."""
        return self.url or f"data:{self.media_type};base64,{self.base64}"


class ImagePart(MediaPart):
    """An image: `ImagePart("https://…")`, `ImagePart(data)`, `ImagePart(Path("cat.png"))`.

    `detail`: how closely the model looks, where the wire has it.
    """

    _type: ClassVar[str] = "image"
    _media_type_prefix: ClassVar[str] = "image/"

    type: Literal["image"]
    detail: Literal["auto", "low", "high"] | None = None

    def __init__(self, source: Source | None = None, **fields: Unpack[_ImageFields]) -> None:
        super().__init__(source, **fields)


class AudioPart(MediaPart):
    """Recorded sound, such as WAV or MP3."""

    _type: ClassVar[str] = "audio"
    _media_type_prefix: ClassVar[str] = "audio/"

    type: Literal["audio"]

    def __init__(self, source: Source | None = None, **fields: Unpack[_AudioFields]) -> None:
        super().__init__(source, **fields)

    @property
    def format(self) -> str:
        """The short name that some wires use: `wav`, `mp3`, `flac`, …"""
        subtype = (self.media_type or "").partition(";")[0].partition("/")[2].removeprefix("x-")
        return {"mpeg": "mp3", "wave": "wav"}.get(subtype, subtype)


class FilePart(MediaPart):
    """A document, such as a PDF. `name`: what the file is called; a path brings its own."""

    _type: ClassVar[str] = "file"

    type: Literal["file"]
    name: Text | None = None

    def __init__(self, source: Source | None = None, **fields: Unpack[_FileFields]) -> None:
        if isinstance(source, os.PathLike):
            fields.setdefault("name", os.path.basename(os.fsdecode(source)))
        super().__init__(source, **fields)

    def _settle_media_type(self, data: bytes, label: str | None) -> str:
        if (media_type := settled(label, data, is_document=True)) is not None:
            return media_type
        try:
            data.decode()
        except UnicodeDecodeError:
            return "application/octet-stream"
        return "text/plain"


Part: TypeAlias = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
_PART_CLASSES: dict[str, type[Model]] = {"text": TextPart, "image": ImagePart, "audio": AudioPart, "file": FilePart}


def as_part(part: Any) -> Any:
    """A part from what a caller may give in its place: itself, text, its fields as a dict, or chat completions' dict.

    Raises:
        ValueError: it is none of these.
    """
    if is_part(part):
        return part
    if isinstance(part, str):
        return {"type": "text", "text": part}  # which the field's validator makes a part of
    if not isinstance(part, Mapping):
        raise ValueError(f"a part must be text, an ImagePart or another part, or a dict, not {type(part).__name__}")
    part_type = part.get("type", "text")
    if not isinstance(part_type, str):
        raise ValueError(f"a part's type is one of {', '.join(_PART_CLASSES)}, not {type(part_type).__name__}")
    inner = part.get(part_type)
    try:
        if part_type == "image_url":
            image = inner if isinstance(inner, Mapping) else {"url": inner}
            return ImagePart(image.get("url"), detail=image.get("detail"))
        if part_type == "input_audio" and isinstance(inner, Mapping):
            label = None if inner.get("format") is None else f"audio/{inner['format']}"
            return AudioPart(data=decode_base64(inner.get("data")), media_type=label)
        if part_type == "file" and isinstance(inner, Mapping):
            if "file_id" in inner:
                raise ValueError("a file at the provider (file_id) cannot be sent: give its bytes")
            return FilePart(inner.get("file_data"), name=inner.get("filename"))
        if part_type in _PART_CLASSES:
            return _PART_CLASSES[part_type].model_validate(dict(part))
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None
    raise ValueError(f"there is no part of type {part_type!r}: the types are {', '.join(_PART_CLASSES)}")


def is_part(value: Any) -> bool:
    """Whether it is a part already."""
    return isinstance(value, (TextPart, MediaPart))


def _is_url(url: str) -> bool:
    """Whether it has a host, and no character that would end a line."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and all(ord(character) >= 32 and character != "\x7f" for character in url)


def _read_source(source: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that a source stands for. `given` are the fields that the caller has named beside it."""
    if given.get("url") is not None or given.get("data") is not None:
        raise InvalidRequestError("a part has one source, not two", argument="source")
    if isinstance(source, bytes | bytearray | memoryview):
        return {"data": bytes(source)}
    if isinstance(source, os.PathLike):
        try:
            path = os.fspath(source)
        except TypeError as error:  # its `__fspath__` returns something else
            raise InvalidRequestError(f"a part's source is no path: {error}", argument="source") from None
        return {"data": read_file(path)}
    if not isinstance(source, str):
        raise InvalidRequestError(
            f"a part's source is bytes, a path or a URL, not {type(source).__name__}", argument="source"
        )
    source = source.strip()
    if source[:5].lower() != "data:":
        return {"url": source}
    data, label = parse_data_url(source)
    fields: dict[str, Any] = {"data": data}
    if label and given.get("media_type") is None:
        fields["media_type"] = label
    return fields
