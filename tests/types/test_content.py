"""The parts of a message: where their bytes come from, what they are, and what is refused."""

from __future__ import annotations

import base64
import inspect
import os
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from helpers import open_descriptors
from tables import table

from llmclients.errors import InvalidRequestError
from llmclients.types import sources
from llmclients.types.content import (
    MAX_PART_BYTES,
    AudioPart,
    FilePart,
    ImagePart,
    MediaPart,
    TextPart,
    as_part,
)
from llmclients.types.media_types import sniff_media_type
from llmclients.types.messages import Message

PNG = b"\x89PNG\r\n\x1a\n rest"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
PDF = b"%PDF-1.7 rest"


@table(
    "data, media_type",
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0 rest", "image/jpeg"),
        (b"GIF87a rest", "image/gif"),
        (b"GIF89a rest", "image/gif"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"\x00\x00\x00\x1cftypavif", "image/avif"),
        (b"\x00\x00\x00\x1cftypheic", "image/heic"),
        (b"\x00\x00\x00\x1cftypmif1", "image/heif"),
        (b"BM rest", "image/bmp"),
        (WAV, "audio/wav"),
        (b"ID3\x04 rest", "audio/mpeg"),
        (b"\xff\xfb\x90\x00", "audio/mpeg"),
        (b"\xff\xf3\x90\x00", "audio/mpeg"),
        (b"\xff\xf2\x90\x00", "audio/mpeg"),
        (b"fLaC rest", "audio/flac"),
        (b"OggS rest", "audio/ogg"),
        (b"\x00\x00\x00\x1cftypM4A ", "audio/mp4"),
        (PDF, "application/pdf"),
        (b"", None),
        (b"PNG", None),
        (b"RIFF\x24\x00\x00\x00AVI ", None),
    ],
)
def test_the_first_bytes_tell_the_type(data: bytes, media_type: str | None) -> None:
    assert sniff_media_type(data) == media_type


def test_bytes_a_path_and_a_data_url_are_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    text = base64.b64encode(PNG).decode()

    for source in (PNG, bytearray(PNG), memoryview(PNG), path, f"data:image/png;base64,{text}"):
        part = ImagePart(source)  # type: ignore[arg-type]
        assert (part.data, part.url, part.media_type, part.type) == (PNG, None, "image/png", "image")
        assert part.base64 == text
        assert part.any_url == f"data:image/png;base64,{text}"


HEIC = b"\x00\x00\x00\x1cftypheic"
OGG = b"OggS rest"


LABELLED: list[tuple[type[MediaPart], bytes, str | None, str]] = [
    (ImagePart, PNG, "image/jpeg", "image/png"),
    (ImagePart, PNG, "image/jpg", "image/png"),
    (ImagePart, b"\xff\xd8\xff\xe0", "image/jpg", "image/jpeg"),
    (ImagePart, b"\xff\xd8\xff\xe0", "image/pjpeg", "image/jpeg"),
    (ImagePart, b"\xff\xd8\xff\xe0", "IMAGE/JPEG; charset=binary", "image/jpeg"),
    (ImagePart, b"II*\x00 rest", "image/png", "image/tiff"),
    (ImagePart, PNG, "application/octet-stream", "image/png"),
    (ImagePart, HEIC, "image/heif", "image/heif"),
    (ImagePart, b"no magic", "Image/JPG;q=1", "image/jpeg"),
    (ImagePart, b"no magic", "image/svg+xml", "image/svg+xml"),
    (AudioPart, WAV, "audio/mpeg", "audio/wav"),
    (AudioPart, WAV, "audio/x-wav", "audio/x-wav"),
    (AudioPart, b"ID3\x04", "audio/mp3", "audio/mp3"),
    (AudioPart, OGG, "audio/opus", "audio/opus"),
    (AudioPart, b"no magic", "audio/PCM; rate=16000", "audio/pcm; rate=16000"),
    (FilePart, PDF, "text/plain", "application/pdf"),
    (FilePart, PDF, "Application/X-PDF", "application/pdf"),
    (FilePart, b"text", "text/plain; charset=UTF-8", "text/plain"),
    (FilePart, b"t\xe9xt", "text/plain; charset=latin-1", "text/plain; charset=latin-1"),
    (FilePart, b"BMW is a car", None, "text/plain"),
    (FilePart, b"ID3 is a tag", "text/markdown", "text/markdown"),
    (FilePart, b"BM\x00\x00", "text/plain", "image/bmp"),
    (FilePart, b"text", "application/octet-stream", "application/octet-stream"),
    (FilePart, b"<html></html>", "text/html", "text/html"),
    (ImagePart, PNG, "undefined", "image/png"),
    (ImagePart, PNG, "image/*", "image/png"),
    (ImagePart, PNG, "png", "image/png"),
    (ImagePart, PNG, "image/png\r\nX: y", "image/png"),
    (AudioPart, b"\xff\xf1P", "audio/wav", "audio/aac"),
    (AudioPart, b"\xff\xfa\x90", "audio/wav", "audio/mpeg"),
    (AudioPart, b"FORM\0\0\0\0AIFF", "audio/wav", "audio/aiff"),
]


def test_the_bytes_overrule_the_label_where_they_show_what_they_are(subtests: pytest.Subtests) -> None:
    for part, data, label, media_type in LABELLED:
        with subtests.test(f"{data[:20]!r}", label=label):
            assert part(data, media_type=label).media_type == media_type
            if label is not None:
                encoded = base64.b64encode(data).decode()
                assert part(f"data:{label};base64,{encoded}").media_type == media_type


def test_a_page_in_place_of_an_image_is_refused() -> None:
    for page in (
        b"<!DOCTYPE html><title>404</title>",
        b"\n <html lang='en'>",
        b"\xef\xbb\xbf<!doctype html>",
        b"<?xml version='1.0'?>\n<html>",
    ):
        for label in (None, "image/png"):
            with pytest.raises(InvalidRequestError, match="is an HTML page, not image/"):
                ImagePart(page, media_type=label)


LONG = bytes(range(256)) * 3 + b"\xfb\xff"
PLAIN = base64.b64encode(LONG).decode()


@table(
    "text",
    [
        base64.encodebytes(LONG).decode(),
        base64.encodebytes(LONG).decode().replace("\n", "\r\n"),
        f" {PLAIN[:40]} {PLAIN[40:]}\t",
        base64.urlsafe_b64encode(LONG).decode(),
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(LONG).decode().rstrip("="),
    ],
    ids=["mail", "crlf", "blanks", "urlsafe", "unpadded", "jwt"],
)
def test_base64_is_read_as_mail_and_urls_have_it(text: str) -> None:
    assert FilePart(data=text).data == LONG  # type: ignore[arg-type]
    assert FilePart(f"data:application/zip;base64,{text}").data == LONG
    assert as_part({"type": "input_audio", "input_audio": {"data": text, "format": "wav"}}).data == LONG
    escaped = text.replace("\n", "%0A").replace("\r", "%0d").replace("=", "%3D").replace("/", "%2F")
    assert FilePart(f"DATA:application/zip; BASE64,{escaped}").data == LONG


@table("text", ["A", "AAAAA", "AA=A", "A===", "A+-A", "ÄAAA", "AA*A"])
def test_broken_base64_is_refused(text: str) -> None:
    for make in (lambda: FilePart(data=text), lambda: FilePart(f"data:;base64,{text}")):  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="is not base64"):
            make()


def test_a_path_that_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (tmp_path / "link.png").symlink_to("/dev/zero")

    for path in (Path("/dev/zero"), tmp_path / "link.png", pipe, tmp_path):
        before = open_descriptors()
        with pytest.raises(InvalidRequestError, match="is not a regular file"):
            FilePart(path)
        assert open_descriptors() == before


def test_a_path_that_no_system_has_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="cannot be read"):
        FilePart(Path("a\0b"))


def test_a_file_that_grows_while_it_is_read_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 11)
    monkeypatch.setattr(sources, "MAX_PART_BYTES", 10)

    with pytest.raises(InvalidRequestError, match="log has more than 10 bytes"):
        FilePart(path)
    path.write_bytes(b"x" * 10)
    assert FilePart(path).data == b"x" * 10


def test_a_url_stays_one() -> None:
    assert ImagePart(" HTTPS://a.example/cat.png\n").url == "HTTPS://a.example/cat.png"
    part = ImagePart("https://a.example/cat.png", detail="low")

    assert (part.url, part.data, part.media_type, part.detail) == ("https://a.example/cat.png", None, None, "low")
    assert part.any_url == "https://a.example/cat.png"


def test_a_string_is_never_a_path(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(PNG)

    for source in (str(path), f"file://{path}"):
        with pytest.raises(InvalidRequestError, match="the url must begin with https://"):
            ImagePart(source)


def test_a_file_keeps_its_name_and_needs_no_known_bytes(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("Fo\u0161", encoding="utf-8")

    assert (FilePart(path).name, FilePart(path).media_type) == ("notes.txt", "text/plain")
    assert FilePart(path, name="other").name == "other"
    assert (FilePart(PDF).name, FilePart(PDF).media_type) == (None, "application/pdf")
    assert FilePart(b"\xff\x00").media_type == "application/octet-stream"
    assert FilePart(b"\xff\x00", media_type="application/zip").media_type == "application/zip"


@table(
    "media_type, name",
    [
        ("audio/wav", "wav"),
        ("audio/x-wav", "wav"),
        ("audio/wave", "wav"),
        ("audio/mpeg", "mp3"),
        ("audio/flac", "flac"),
    ],
)
def test_sound_has_a_short_name(media_type: str, name: str) -> None:
    assert AudioPart(b"bytes", media_type=media_type).format == name


class NoPath(os.PathLike[str]):
    def __fspath__(self) -> Any:
        return 5


@table(
    "part, source, fields, message",
    [
        (ImagePart, None, {}, "needs either a url or data"),
        (ImagePart, PNG, {"url": "https://a.example/"}, "one source, not two"),
        (ImagePart, None, {"data": PNG, "url": "https://a.example/"}, "needs either a url or data"),
        (ImagePart, b"", {}, "data is empty"),
        (ImagePart, b"bytes", {}, "cannot be told from its first bytes"),
        (ImagePart, WAV, {}, "is audio/wav, not image/"),
        (AudioPart, PNG, {}, "is image/png, not audio/"),
        (ImagePart, PNG, {"media_type": "text/plain"}, "is text/plain, not image/"),
        (ImagePart, 5, {}, "bytes, a path or a URL, not int"),
        (ImagePart, NoPath(), {}, "no path"),
        (ImagePart, b"no magic", {"media_type": "image/png\r\nX: y"}, "is no media type"),
        (ImagePart, b"no magic", {"media_type": 'image/p"ng'}, "is no media type"),
        (FilePart, "data:text/csv\r\nX: y;base64,YSxi", {}, "is no media type"),
        (FilePart, b"a,b", {"media_type": "csv"}, "is no media type"),
        (ImagePart, "https://", {}, "no host"),
        (ImagePart, "https://a.example/b\nc", {}, "line end"),
        (ImagePart, "https://[::1", {}, "no host"),
        (ImagePart, "data:image/png,abc", {}, "must be in base64"),
        (ImagePart, "data:image/png;base64,%%", {}, "is not base64"),
        (ImagePart, Path("nowhere/cat.png"), {}, "cat.png cannot be read: No such file"),
        (ImagePart, PNG, {"detail": "huge"}, "detail: "),
        (ImagePart, PNG, {"colour": 1}, "colour: Extra inputs"),
        (FilePart, b"x" * (MAX_PART_BYTES + 1), {}, f"more than {MAX_PART_BYTES}"),
    ],
)
def test_a_part_that_is_none_is_refused(part: type[MediaPart], source: Any, fields: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        part(source, **fields)


def test_a_path_to_too_many_bytes_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.bin"
    with path.open("wb") as file:
        file.truncate(MAX_PART_BYTES + 1)

    with pytest.raises(InvalidRequestError, match=r"huge\.bin has more than"):
        FilePart(path)


@table(
    "given, part",
    [
        ({"text": "a"}, TextPart(text="a")),
        ({"type": "text", "text": "a"}, TextPart(text="a")),
        (
            {"type": "image_url", "image_url": {"url": "https://a.example/b", "detail": "high"}},
            ImagePart("https://a.example/b", detail="high"),
        ),
        ({"type": "image_url", "image_url": "https://a.example/b"}, ImagePart("https://a.example/b")),
        (
            {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
            AudioPart(b"RIFF", media_type="audio/wav"),
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"}},
            FilePart(b"%PDF-", name="a.pdf"),
        ),
        ({"type": "image", "url": "https://a.example/b"}, ImagePart("https://a.example/b")),
        ({"type": "audio", "data": "UklGRg==", "media_type": "audio/wav"}, AudioPart(b"RIFF", media_type="audio/wav")),
    ],
)
def test_a_dict_may_have_the_fields_of_a_part_or_be_what_chat_completions_take(given: Any, part: Any) -> None:
    assert as_part(given) == part
    assert Message("user", [given]).content == [part]


@table(
    "given, message",
    [
        ({"type": "file", "file": {"file_id": "file-1"}}, "give its bytes"),
        ({"type": "input_audio", "input_audio": {"data": 5, "format": "wav"}}, "is not base64"),
        ({"type": "image_url", "image_url": {"url": 5}}, "bytes, a path or a URL, not int"),
        ({"type": "refusal", "refusal": "no"}, "there is no part of type 'refusal'"),
        ({"type": ["text"], "text": "a"}, "not list"),
        ({"type": "input_audio", "input_audio": {"data": "eHh4"}}, "give media_type="),
        ({"type": "input_audio", "input_audio": {"data": "eHh4", "format": "wa v"}}, "is no media type"),
    ],
)
def test_a_dict_that_is_no_part_is_refused(given: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        Message("user", ["fine", given][1:])


@table("part", [ImagePart, AudioPart, FilePart])
def test_editors_are_told_of_every_field_and_of_no_other(part: type[MediaPart]) -> None:
    parameter = inspect.signature(part.__init__).parameters["fields"]
    (fields,) = get_args(parameter.annotation)

    assert get_type_hints(fields).keys() == part.model_fields.keys()


def test_a_part_is_returned_as_it_is() -> None:
    for part in (TextPart(text="a"), ImagePart(PNG), AudioPart(WAV), FilePart(PDF)):
        assert as_part(part) is part


def test_bytes_do_not_fill_a_repr() -> None:
    assert repr(ImagePart(PNG)) == "ImagePart(data=<13 bytes>, media_type='image/png')"


def test_the_text_of_a_message_leaves_its_other_parts_out() -> None:
    message = Message("user", [TextPart(text="a"), ImagePart(PNG), TextPart(text="b")])

    assert message.text == "ab"
    assert [part.type for part in message.parts] == ["text", "image", "text"]
    assert Message("user", "x").parts == [TextPart(text="x")]
    assert Message("assistant", "").parts == []
