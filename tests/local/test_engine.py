"""The local model's server: the real one, over HTTP, and the failures of one that is not."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmclients import Client
from llmclients.errors import ConfigurationError, InvalidRequestError, LLMClientError
from llmclients.local import engine as local
from llmclients.local import process, weights
from tests.local.localtools import HEADER, engines, needs_model, weights_file

HI = [{"role": "system", "content": "."}, {"role": "user", "content": "Hi"}]  # the template has a longer system message


@pytest.fixture(autouse=True)
def _no_weights_named_outside(monkeypatch):
    monkeypatch.delenv(weights.MODEL_PATH_VARIABLE, raising=False)


def send(served: local.Endpoint, body: dict[str, Any] | None, key: str | None = None, path: str = "/chat/completions"):
    address = urlsplit(served.base_url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {served.api_key if key is None else key}"}
    if key == "":
        del headers["Authorization"]
    connection.request(
        "GET" if body is None else "POST", address.path + path, json.dumps(body) if body else None, headers
    )
    response = connection.getresponse()
    data = response.read()
    connection.close()
    return response.status, data


def events(data: bytes) -> list[str]:
    return [line.removeprefix("data: ") for line in data.decode().split("\n\n") if line.startswith("data: ")]


# --- the server -----------------------------------------------------------------------------------------------------


def test_the_key_is_not_shown():
    shown = local.Endpoint("http://127.0.0.1:1/v1", "sesame")
    assert "sesame" not in f"{shown!r} {shown}"
    assert shown.base_url in repr(shown)


@needs_model
@pytest.mark.local
def test_the_server_listens_on_loopback_only(served):
    address = urlsplit(served.base_url)
    assert (address.hostname, address.path) == ("127.0.0.1", "/v1")
    with socket.socket() as other, pytest.raises(OSError, match="refused"):
        other.connect(("127.0.0.2", address.port))


@needs_model
@pytest.mark.local
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_neither_its_key_nor_its_threads_are_in_sight(served, small_model):
    [serving] = engines(small_model)
    command = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(serving)], capture_output=True).stdout
    assert b"child.py" in command
    assert served.api_key.encode() not in command
    assert "xllamacpp" not in sys.modules


@needs_model
@pytest.mark.local
def test_a_second_call_gives_the_same_endpoint_from_any_thread(served):
    with ThreadPoolExecutor(8) as pool:
        assert {id(found) for found in pool.map(lambda _: local.endpoint(), range(16))} == {id(served)}
    assert local.endpoint(weights.find_weights()) is served


@needs_model
@pytest.mark.local
def test_without_the_key_nothing_is_answered(served):
    for key in ("", "wrong"):
        status, body = send(served, {"messages": HI}, key=key)
        assert status == 401
        assert json.loads(body)["error"]["type"] == "authentication_error"


@needs_model
@pytest.mark.local
def test_a_whole_answer_has_text_finish_reason_usage_and_a_name_that_is_no_path(served):
    status, body = send(served, {"messages": HI, "max_tokens": 2, "temperature": 0})
    answer = json.loads(body)
    assert status == 200
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 2
    assert answer["model"] == "SmolLM2-135M-Instruct"


@needs_model
@pytest.mark.local
def test_a_stream_ends_with_a_finish_reason_the_usage_and_done(served):
    body = {"messages": HI, "max_tokens": 2, "temperature": 0, "stream": True}
    body["stream_options"] = {"include_usage": True}
    *parts, last = events(send(served, body)[1])
    chunks = [json.loads(part) for part in parts]
    assert last == "[DONE]"
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert chunks[-1]["choices"] == []
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"


@needs_model
@pytest.mark.local
def test_equal_requests_with_a_seed_get_equal_answers_streamed_or_not(served):
    history = [*HI, {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "Go on."}]
    first: dict[int, str] = {}
    for messages, stream in ((HI, False), (history, False), (HI, True), (HI, False)):
        body = {"messages": messages, "max_tokens": 3, "seed": 7, "temperature": 0.8, "stream": stream}
        if stream:
            chunks = [json.loads(part) for part in events(send(served, body)[1]) if part != "[DONE]"]
            text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        else:
            answer = json.loads(send(served, body)[1])
            text = answer["choices"][0]["message"]["content"]
            assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
        assert first.setdefault(len(messages), text) == text


@needs_model
@pytest.mark.local
def test_more_requests_than_slots_are_all_answered(served):
    with ThreadPoolExecutor(5) as pool:
        answers = pool.map(lambda i: send(served, {"messages": HI, "max_tokens": 1, "stream": i % 2 == 0}), range(5))
        assert [status for status, _ in answers] == [200] * 5


# --- what a client says of it ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        ({"model": "openai/gpt-4o"}, "openai/gpt-4o"),
        ({"model": "gpt-4o"}, "openai/gpt-4o"),
        ({"provider": "local/claude-sonnet-4-5"}, "anthropic/claude-sonnet-4-5"),
        ({"model": "google/gemma"}, None),
        ({"model": "tiny", "model_path": "/models/other.gguf"}, None),
        ({"model": "smollm2", "model_path": "/models/other.gguf"}, None),
    ],
)
def test_another_model_s_name_is_refused(arguments, hint):
    with pytest.raises(InvalidRequestError, match=r"^local has no model '.*': it answers with ") as caught:
        Client(**arguments)
    assert caught.value.argument == "model"
    assert str(caught.value).endswith(f". Did you mean Client({hint!r})?") == (hint is not None)

    if "model_path" not in arguments and "provider" not in arguments:
        with pytest.raises(InvalidRequestError, match=r"^local has no model"):
            Client().chat("Hi", **arguments)


@pytest.mark.parametrize("name", ["SmolLM2-135M-Instruct", "smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"])
def test_its_own_name_is_taken_and_so_is_the_file_s(name):
    assert Client(f"local/{name}")._settings.default_model
    assert Client(model="tiny.Q8_0.gguf", model_path="/models/tiny.Q8_0.gguf")._settings.default_model
    assert Client(model_path="/models/tiny.Q8_0.gguf")._settings.default_model == "tiny"


def test_at_an_address_of_the_caller_s_own_any_model_may_be():
    assert Client("local/gpt-4o", base_url="http://127.0.0.1:1/v1")._settings.default_model == "gpt-4o"


@pytest.mark.parametrize("argument", ["context_size", "threads"])
def test_the_server_s_arguments_are_checked_and_for_this_server_alone(argument):
    for value in (0, -1, True, "2", 2.0):
        with pytest.raises(ConfigurationError, match=f"^{argument} must be a positive whole number$") as caught:
            Client(**{argument: value})
        assert caught.value.argument == argument
    for elsewhere in ({"provider": "openai", "api_key": "k"}, {"base_url": "http://127.0.0.1:1"}):
        with pytest.raises(ConfigurationError, match=f"^{argument} is for the local model only$"):
            Client(**elsewhere, **{argument: 2})


# --- failures -------------------------------------------------------------------------------------------------------


def test_a_missing_engine_is_answered_with_the_command_that_fetches_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ConfigurationError, match=r"not installed; run: python -m llmclients local install$"):
        local.endpoint(weights_file(tmp_path))


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        ({"error": "import", "detail": "no libfoo"}, r"cannot be imported \(no libfoo\); run: .*local install$"),
        ({"error": "too old", "detail": "hostnames"}, "pip install --upgrade xllamacpp$"),
        ({"error": "load", "detail": ""}, "^model_path: the engine cannot load .*not a model it knows$"),
    ],
)
def test_what_the_process_reports_is_an_error_in_words(tmp_path, report, expected):
    with pytest.raises(ConfigurationError, match=expected):
        raise process._failure(report, process.Order(weights_file(tmp_path), "some"))


def test_weights_of_ours_that_are_damaged_are_to_be_fetched_again(tmp_path, monkeypatch):
    path = weights_file(tmp_path)
    monkeypatch.setattr(process, "cached_weights", lambda: path)
    with pytest.raises(ConfigurationError, match=r"damaged; run: python -m llmclients local install$"):
        raise process._failure({"error": "load", "detail": ""}, process.Order(path, "some"))


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        ("import os; os.kill(os.getpid(), 11)", "ended while it loaded .*: SIGSEGV$"),
        ("import sys; sys.exit(3)", "ended while it loaded .*: exit code 3$"),
        ("""input(); print('{"address": "http://127.0.0.1:9"}', flush=True); input()""", "does not answer"),
    ],
)
def test_a_process_that_fails_is_an_error_and_is_gone(tmp_path, monkeypatch, child, expected):
    monkeypatch.setattr(process, "_CHILD", weights_file(tmp_path, "child.py", child.encode()))
    started = process.EngineProcess(process.Order(weights_file(tmp_path), "some"))
    with pytest.raises(LLMClientError, match=expected):
        started.start()
    assert not started.is_running


def test_no_interpreter_to_run_it_in_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ConfigurationError, match=r"needs a Python interpreter"):
        local.endpoint(weights_file(tmp_path))
    monkeypatch.delattr(sys, "frozen")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "absent"))
    with pytest.raises(LLMClientError, match="cannot be started"):
        local.endpoint(weights_file(tmp_path))


@needs_model
@pytest.mark.local
def test_a_file_that_the_engine_cannot_load_is_refused_in_silence(tmp_path, capfd, small_model):
    whole = small_model.read_bytes()
    weights_file(tmp_path, "half.gguf", whole[: len(whole) // 2])
    weights_file(tmp_path, "noise.gguf", HEADER[:8] + b"\xff" * 5000)
    for name in ("half", "noise"):
        with pytest.raises(ConfigurationError, match=r"^model_path: the engine cannot load"):
            local.endpoint(tmp_path / f"{name}.gguf")
    assert capfd.readouterr() == ("", "")


# --- starting and stopping ------------------------------------------------------------------------------------------


def forget_servers(monkeypatch):
    """As in a program that has started none. After the test, those that were there are found again."""
    for name in ("_running", "_orders"):
        monkeypatch.setattr(local, name, {})
    monkeypatch.setattr(local, "_started", set())


@needs_model
@pytest.mark.local
def test_threads_start_one_server_other_weights_or_sizes_one_of_their_own_and_shutdown_stops_all(
    tmp_path, monkeypatch, small_model
):
    forget_servers(monkeypatch)
    together = threading.Barrier(6)

    def first_use(_: int) -> local.Endpoint:
        together.wait()
        return local.endpoint()

    with ThreadPoolExecutor(6) as pool:
        [first] = set(pool.map(first_use, range(6)))
    (tmp_path / "copy.Q4_1.gguf").symlink_to(small_model)
    with Client(model_path=tmp_path / "copy.Q4_1.gguf", context_size=512, threads=1) as other:
        assert other.models() == ["copy"]
    [second] = [found for order, (found, _) in local._running.items() if order.context_size == 512]
    assert (first.base_url, first.api_key) != (second.base_url, second.api_key)
    slots = json.loads(send(replace(second, base_url=second.base_url.removesuffix("/v1")), None, path="/slots")[1])
    assert {slot["n_ctx"] for slot in slots} == {512}
    assert len(local._started) == 2
    local.shutdown()
    assert local._started == set()
    for stopped in (first, second):
        with pytest.raises(OSError, match="refused"):
            send(stopped, None, path="/models")


def test_a_server_that_runs_is_found_without_looking_at_files_and_another_folder_s_file_is_another(
    tmp_path, monkeypatch
):
    started = []
    monkeypatch.setattr(process.EngineProcess, "start", lambda self: started.append(self._order.weights))
    monkeypatch.setattr(process.EngineProcess, "is_running", True)
    forget_servers(monkeypatch)
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        monkeypatch.chdir(folder)
        first = local.endpoint(weights_file(folder, "m.gguf").name)
        (folder / "m.gguf").unlink()
        assert local.endpoint("m.gguf") is local.endpoint(folder / "m.gguf") is first
    assert started == [tmp_path / "a" / "m.gguf", tmp_path / "b" / "m.gguf"]
