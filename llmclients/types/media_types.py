"""Media types: what the first bytes of an image, a recording or a document show, and what a label beside them says."""

# A label is what somebody says the bytes are: a file's suffix, a form, a gateway's guess. Providers look at the bytes
# and refuse what does not fit, so the bytes overrule the label wherever they show what they are. A label stays where
# they do not, and where it says the same in other words (`audio/mp3`) or more exactly (`audio/opus`, in Ogg).

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["UNKNOWN_BYTES", "is_media_type", "looks_like_a_page", "normalized", "settled", "sniff_media_type"]


class _Magic(NamedTuple):
    """Bytes that show a media type.

    Attributes:
        start: what the data begins with; None for anything.
        at: where the other bytes stand.
        magic: the bytes there.
        media_type: what they show.
        also: labels that agree with them.
        is_text: whether a text may begin with the same bytes.
    """

    start: bytes | None
    at: int
    magic: bytes
    media_type: str
    also: tuple[str, ...] = ()
    is_text: bool = False


_MPEG = ("audio/mp3", "audio/x-mp3", "audio/mpeg3", "audio/x-mpeg", "audio/x-mpeg-3", "audio/mpga")
_AAC = ("audio/x-aac", "audio/aacp", "audio/x-hx-aac-adts")
_OGG = ("audio/opus", "audio/vorbis", "audio/speex", "audio/x-ogg", "application/ogg", "video/ogg")
_MP4 = ("audio/m4a", "audio/x-m4a", "audio/aac", "video/mp4")
_HEIF = ("image/heif", "image/heic", "image/avif", "image/heif-sequence", "image/heic-sequence")

_MAGIC_NUMBERS = (
    _Magic(None, 0, b"\x89PNG\r\n\x1a\n", "image/png", ("image/apng",)),
    _Magic(None, 0, b"\xff\xd8\xff", "image/jpeg"),
    _Magic(None, 0, b"GIF87a", "image/gif"),
    _Magic(None, 0, b"GIF89a", "image/gif"),
    _Magic(b"RIFF", 8, b"WEBP", "image/webp"),
    _Magic(b"RIFF", 8, b"WAVE", "audio/wav", ("audio/x-wav", "audio/wave", "audio/vnd.wave", "audio/x-pn-wav")),
    _Magic(None, 4, b"ftypavif", "image/avif", _HEIF),
    _Magic(None, 4, b"ftypheic", "image/heic", _HEIF),
    _Magic(None, 4, b"ftypheix", "image/heic", _HEIF),
    _Magic(None, 4, b"ftypmif1", "image/heif", _HEIF),
    _Magic(None, 0, b"II*\x00", "image/tiff"),
    _Magic(None, 0, b"MM\x00*", "image/tiff"),
    _Magic(None, 0, b"BM", "image/bmp", is_text=True),
    _Magic(None, 0, b"ID3", "audio/mpeg", _MPEG, is_text=True),
    _Magic(None, 0, b"\xff\xfb", "audio/mpeg", _MPEG),
    _Magic(None, 0, b"\xff\xfa", "audio/mpeg", _MPEG),
    _Magic(None, 0, b"\xff\xf3", "audio/mpeg", _MPEG),
    _Magic(None, 0, b"\xff\xf2", "audio/mpeg", _MPEG),
    _Magic(None, 0, b"\xff\xf1", "audio/aac", _AAC),
    _Magic(None, 0, b"\xff\xf9", "audio/aac", _AAC),
    _Magic(b"FORM", 8, b"AIFF", "audio/aiff", ("audio/x-aiff",)),
    _Magic(None, 0, b"fLaC", "audio/flac", ("audio/x-flac",)),
    _Magic(None, 0, b"OggS", "audio/ogg", _OGG),
    _Magic(None, 4, b"ftypM4A", "audio/mp4", _MP4),
    _Magic(None, 0, b"%PDF-", "application/pdf", ("application/illustrator",)),
)

_RIGHT_NAMES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "image/x-png": "image/png",
    "image/x-bmp": "image/bmp",
    "image/x-ms-bmp": "image/bmp",
    "application/x-pdf": "application/pdf",
}
"""Names that are in use, and that no provider takes."""

UNKNOWN_BYTES = ("application/octet-stream", "binary/octet-stream")
"""Labels that say nothing."""

_USUAL_CHARSET = r"(?i)charset *= *\"?(utf-?8|us-ascii|binary)\"?"
_PAGE = rb"(?i)(\xef\xbb\xbf)?\s*(<\?xml[^>]{0,200}>\s*)?<(!doctype html|html[\s>])"
_NAME = "[a-z0-9][a-z0-9!#$&^_.+-]{0,126}"  # RFC 6838, 4.2
_MEDIA_TYPE = rf"{_NAME}/{_NAME}(; [ -~]+)*"


def sniff_media_type(data: bytes) -> str | None:
    """The media type that the first bytes show, or None."""
    found = _magic(data)
    return None if found is None else found.media_type


def looks_like_a_page(data: bytes) -> bool:
    """Whether the data is an HTML page, such as comes in place of a file that is not to be had."""
    return re.match(_PAGE, data) is not None


def normalized(label: str) -> str:
    """A label in lower case, by its right name. An image's has no parameters, and no other a charset that is usual."""
    name, *parameters = label.split(";")
    name = name.strip().lower()
    name = _RIGHT_NAMES.get(name, name)
    if name.startswith("image/"):
        return name
    kept = [text for text in map(str.strip, parameters) if text and not re.fullmatch(_USUAL_CHARSET, text)]
    return "; ".join([name, *kept])


def is_media_type(label: str) -> bool:
    """Whether a normalized label has the form of a media type, as `png`, `image/*`, `undefined` have not."""
    return re.fullmatch(_MEDIA_TYPE, label) is not None


def settled(label: str | None, data: bytes, *, is_document: bool) -> str | None:
    """The media type of data, by its first bytes and its label; None where neither says anything.

    Args:
        label: normalized, if there is one.
        data: the bytes.
        is_document: whether it may as well be a text that happens to begin like something else.
    """
    found = _magic(data)
    if found is None or (is_document and found.is_text and _is_text(data)):
        return label
    return label if label is not None and label.partition(";")[0] in found.also else found.media_type


def _magic(data: bytes) -> _Magic | None:
    for one in _MAGIC_NUMBERS:
        if data.startswith(one.magic, one.at) and (one.start is None or data.startswith(one.start)):
            return one
    return None


def _is_text(data: bytes) -> bool:
    try:
        return "\0" not in data.decode()
    except UnicodeDecodeError:
        return False
