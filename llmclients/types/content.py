"""The parts of a message's content: text, images, audio, files."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_serializer, field_validator, model_validator
from typing_extensions import Self

from llmclients.errors import InvalidRequestError
from llmclients.types.base import Model, Text

__all__ = ["MAX_PART_BYTES", "AudioPart", "FilePart", "ImagePart", "MediaPart", "Part", "TextPart", "as_part"]

MAX_PART_BYTES = 64 * 1024 * 1024
"""No provider takes a larger part inside a request; each wire has a limit of its own below this."""

_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (  # position, bytes, media type
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftypheic", "image/heic"),
    (4, b"ftypmif1", "image/heif"),
    (0, b"BM", "image/bmp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"\xff\xf3", "audio/mpeg"),
    (0, b"\xff\xf2", "audio/mpeg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (4, b"ftypM4A", "audio/mp4"),
    (0, b"%PDF-", "application/pdf"),
)


class TextPart(Model):
    """A piece of text in a message that has several parts."""

    type: Literal["text"] = "text"
    text: Text

    if TYPE_CHECKING:

        def __init__(self, *, text: str, type: Literal["text"] = "text") -> None: ...


class MediaPart(Model):
    """What images, audio and files have in common: bytes, or an address that the provider fetches them from.

    Args:
        source: the bytes, a path to read them from, a `data:` URL, or an `https:` URL for the provider to fetch.
            A string is always a URL, never a path: a text from outside must not make a program read its files.
        media_type: such as `image/png`; found from the first bytes where it is not given.

    Raises:
        InvalidRequestError: no bytes, more than `MAX_PART_BYTES`, a type that cannot be told, an unreadable path.
    """

    _type: ClassVar[str] = ""
    _of: ClassVar[str] = ""  # what a media type begins with

    type: str
    url: Text | None = None
    data: bytes | None = Field(default=None, repr=False)
    media_type: Text | None = None

    def __init__(self, source: str | bytes | os.PathLike[str] | None = None, **fields: Any) -> None:
        if source is not None:
            fields |= _from_source(source, fields)
        fields.setdefault("type", self._type)  # no default of the field: it is saved even where defaults are not
        super().__init__(**fields)

    @field_validator("data", mode="before")
    @classmethod
    def _bytes(cls, data: Any) -> Any:
        return _decoded(data) if isinstance(data, str) else data

    @field_serializer("data", when_used="json-unless-none")
    def _text(self, data: bytes) -> str:  # pydantic's own base64 has the alphabet of URLs
        return base64.b64encode(data).decode()

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.url is None) == (self.data is None):
            raise ValueError("needs either a url or data")
        if self.url is not None and not self.url.startswith(("http://", "https://", "gs://")):
            raise ValueError("the url must begin with https:// (or http://, gs://); give bytes or a pathlib.Path else")
        if self.data is not None:
            if not self.data:
                raise ValueError("data is empty")
            if len(self.data) > MAX_PART_BYTES:
                raise ValueError(f"data has {len(self.data)} bytes, more than {MAX_PART_BYTES}")
            if self.media_type is None:
                self.media_type = self._sniffed(self.data)
            if not self.media_type.startswith(self._of):
                raise ValueError(f"is {self.media_type}, not {self._of}…")
        return self

    def _sniffed(self, data: bytes) -> str:
        found = sniff(data)
        if found is None:
            raise ValueError("the data's type cannot be told from its first bytes: give media_type=")
        return found

    @property
    def base64(self) -> str:
        """The bytes in base64. Only for a part that has bytes."""
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
    _of: ClassVar[str] = "image/"

    type: Literal["image"]
    detail: Literal["auto", "low", "high"] | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            source: str | bytes | os.PathLike[str] | None = None,
            *,
            url: str | None = None,
            data: bytes | None = None,
            media_type: str | None = None,
            detail: Literal["auto", "low", "high"] | None = None,
            type: Literal["image"] = "image",
        ) -> None: ...


class AudioPart(MediaPart):
    """Recorded sound, such as WAV or MP3."""

    _type: ClassVar[str] = "audio"
    _of: ClassVar[str] = "audio/"

    type: Literal["audio"]

    if TYPE_CHECKING:

        def __init__(
            self,
            source: str | bytes | os.PathLike[str] | None = None,
            *,
            url: str | None = None,
            data: bytes | None = None,
            media_type: str | None = None,
            type: Literal["audio"] = "audio",
        ) -> None: ...

    @property
    def format(self) -> str:
        """The short name that some wires use: `wav`, `mp3`, `flac`, …"""
        subtype = (self.media_type or "").partition("/")[2].removeprefix("x-")
        return {"mpeg": "mp3", "wave": "wav"}.get(subtype, subtype)


class FilePart(MediaPart):
    """A document, such as a PDF. `name`: what the file is called; a path brings its own."""

    _type: ClassVar[str] = "file"

    type: Literal["file"]
    name: Text | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            source: str | bytes | os.PathLike[str] | None = None,
            *,
            url: str | None = None,
            data: bytes | None = None,
            media_type: str | None = None,
            name: str | None = None,
            type: Literal["file"] = "file",
        ) -> None: ...

    else:

        def __init__(self, source: Any = None, **fields: Any) -> None:
            if isinstance(source, os.PathLike):
                fields.setdefault("name", os.path.basename(os.fspath(source)))
            super().__init__(source, **fields)

    def _sniffed(self, data: bytes) -> str:
        if (found := sniff(data)) is not None:
            return found
        try:
            data.decode()
        except UnicodeDecodeError:
            return "application/octet-stream"
        return "text/plain"


Part: TypeAlias = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
_PARTS: dict[str, type[Model]] = {"text": TextPart, "image": ImagePart, "audio": AudioPart, "file": FilePart}


def as_part(part: Any) -> Any:
    """A part of what a caller may give as one: a part, or a dict, also in the form that chat completions give it.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(part, TextPart | MediaPart):
        return part
    if not isinstance(part, Mapping):
        raise ValueError(
            f"a part must be a TextPart, an ImagePart or another part, or a dict, not {type(part).__name__}"
        )
    kind = part.get("type", "text")
    inner = part.get(kind)
    try:
        if kind == "image_url":
            image = inner if isinstance(inner, Mapping) else {"url": inner}
            return ImagePart(image.get("url"), detail=image.get("detail"))
        if kind == "input_audio" and isinstance(inner, Mapping):
            return AudioPart(data=_decoded(inner.get("data")), media_type=f"audio/{inner.get('format')}")
        if kind == "file" and isinstance(inner, Mapping):
            if "file_id" in inner:
                raise ValueError("a file at the provider (file_id) cannot be sent: give its bytes")
            return FilePart(inner.get("file_data"), name=inner.get("filename"))
        if kind in _PARTS:
            return _PARTS[kind].model_validate(dict(part))
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None
    raise ValueError(f"there is no part of type {kind!r}: the types are {', '.join(_PARTS)}")


def sniff(data: bytes) -> str | None:
    """The media type that the first bytes show, or None."""
    return next((kind for start, mark, kind in _SIGNATURES if data.startswith(mark, start)), None)


def _from_source(source: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    if given.get("url") is not None or given.get("data") is not None:
        raise InvalidRequestError("a part has one source, not two", argument="source")
    if isinstance(source, bytes | bytearray | memoryview):
        return {"data": bytes(source)}
    if isinstance(source, os.PathLike):
        return _from_path(os.fspath(source), given)
    if not isinstance(source, str):
        raise InvalidRequestError(
            f"a part's source is bytes, a path or a URL, not {type(source).__name__}", argument="source"
        )
    if not source.startswith("data:"):
        return {"url": source}
    head, comma, text = source.partition(",")
    kind, *flags = head.removeprefix("data:").split(";")
    if not comma or "base64" not in flags:
        raise InvalidRequestError("a data: URL must be in base64", argument="source")
    try:
        data = _decoded(text)
    except ValueError as error:
        raise InvalidRequestError(str(error), argument="source") from None
    return {"data": data, **({"media_type": kind} if kind and given.get("media_type") is None else {})}


def _from_path(path: str, given: Mapping[str, Any]) -> dict[str, Any]:
    try:
        if os.path.getsize(path) > MAX_PART_BYTES:
            raise InvalidRequestError(f"{path} has more than {MAX_PART_BYTES} bytes", argument="source")
        with open(path, "rb") as file:
            found: dict[str, Any] = {"data": file.read()}
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error.strerror or error}", argument="source") from None
    return found


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError("the data is not base64") from None
