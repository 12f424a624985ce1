"""Keys that are kept for the user: where they are, who reads them, and that nobody sees one."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path
from types import ModuleType

import pytest

from llmclients import Client, ConfigurationError, MissingAPIKeyError
from llmclients.cli.main import main
from llmclients.testing import Reply, mock_clients

KEY = "sk-secret"


class Keyring(ModuleType):
    """The system's keyring, which works or does not."""

    def __init__(self, *, works: bool = True) -> None:
        super().__init__("keyring")
        self.kept: dict[tuple[str, str], str] = {}
        self.works = works

    def set_password(self, service: str, name: str, key: str) -> None:
        if not self.works:
            raise RuntimeError("no backend")
        self.kept[service, name] = key

    def get_password(self, service: str, name: str) -> str | None:
        if not self.works:
            raise RuntimeError("no backend")
        return self.kept.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMCLIENTS_KEYS", str(tmp_path / "folder" / "keys.json"))
    for name in ("OPENAI_API_KEY", "GROQ_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "folder" / "keys.json"


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    keyring = Keyring()
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    return keyring


def set_key(provider: str, key: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{key}\n"))
    return main(["keys", "set", provider, *options])


def sent_key(provider: str) -> str:
    with mock_clients(Reply.text("Hi")) as mock:
        Client(f"{provider}/m").chat("Hi")
    return str(dict(mock.requests[0].headers).get("Authorization"))


def test_a_key_is_kept_in_the_keyring_used_and_forgotten(
    path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert set_key("openai", f" {KEY}", monkeypatch) == 0
    assert list(keyring.kept.values()) == [KEY]
    assert KEY not in path.read_text()
    assert sent_key("openai") == sent_key("openai-responses") == f"Bearer {KEY}"  # as with the one variable of both
    assert (
        main(["keys", "list"])
        == main(["keys", "list", "--json"])
        == main(["providers"])
        == main(["providers", "--json"])
        == 0
    )
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    assert sent_key("openai") == "Bearer sk-environment"
    assert main(["keys", "remove", "openai"]) == 0
    assert main(["keys", "remove", "openai"]) == 1
    monkeypatch.delenv("OPENAI_API_KEY")
    assert keyring.kept == {}
    with pytest.raises(MissingAPIKeyError):
        Client("openai/m")
    out, err = capfd.readouterr()
    assert '"openai": "keyring"' in out
    assert "openai            keyring\n" in out
    assert "set: keyring" in out
    assert "OPENAI_API_KEY is still set in the environment" in err
    assert KEY not in out + err


@pytest.mark.skipif(os.name == "nt", reason="modes")
def test_without_a_keyring_it_is_in_a_file_of_the_user_s_own(
    path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyring.works = False
    assert set_key("groq", KEY, monkeypatch) == 0
    assert sent_key("groq") == f"Bearer {KEY}"
    assert [stat.S_IMODE(entry.stat().st_mode) for entry in (path.parent, path)] == [0o700, 0o600]
    keyring.works = True
    assert set_key("openai", KEY, monkeypatch, "--file") == 0
    assert set(json.loads(path.read_text())) == {"GROQ_API_KEY", "OPENAI_API_KEY"}
    assert keyring.kept == {}
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="may be read by others: chmod 600"):
        Client("openai/m")
    path.chmod(0o600)
    path.write_text("{")
    with pytest.raises(ConfigurationError, match="it is no JSON"):
        Client("openai/m")


def test_a_keyring_that_does_not_answer_is_told(path: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch) -> None:
    set_key("openai", KEY, monkeypatch)
    keyring.works = False
    with pytest.raises(ConfigurationError, match="the system's keyring, which does not give it"):
        Client("openai/m")


@pytest.mark.parametrize(
    ("provider", "key"), [("openai", ""), ("openai", "sk two"), ("openai", "'sk'"), ("local", KEY), ("x", KEY)]
)
def test_what_is_no_key_is_not_kept(
    provider: str,
    key: str,
    path: Path,
    keyring: Keyring,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert set_key(provider, key, monkeypatch) == 2
    assert not path.exists()
    assert keyring.kept == {}
    err = capsys.readouterr().err
    assert key not in err if key else "no key was given" in err


def test_ctrl_c_in_place_of_a_key_ends_the_line(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(prompt: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", interrupted)
    assert main(["keys", "set", "openai"]) == 130
    assert capsys.readouterr().err == "\n"
    assert not path.exists()


def test_nobody_else_loads_a_keyring(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    path.parent.mkdir()
    path.write_text(json.dumps({"OPENAI_API_KEY": {"in": "keyring"}}))
    path.chmod(0o600)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token")
    for client in (
        Client("openai/m", api_key="k"),
        Client("anthropic/m"),
        Client("yqcloud"),
        Client("groq/m", api_key="k"),
    ):
        client.close()
