"""A secret in a server's mouth: cut, encoded, in another case, in any place; and messages of any size and character."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from typing import Any
from urllib.parse import quote

import pytest

from llmclients import APIError, APIStatusError, AsyncClient, Client, ConfigurationError, LLMClientError
from llmclients.calls.redaction import Mask
from llmclients.calls.secrets import find_secrets
from llmclients.codecs.errors import status_error
from llmclients.config.values import Proxy
from llmclients.errors import APIConnectionError, APIResponseError
from llmclients.testing import MockTransport, Reply
from llmclients.transports.mock import Cut

KEY = "sk-aB3+/eFgh1jKlMn0pQrStUvWxYz=9876543210qwertyu"
WIRES = ("openai", "openai-responses", "anthropic", "gemini", "cohere", "ollama", "yqcloud", "ai365vip")
SHOWN = 8
"""Characters of a secret that may be left of one that somebody else has cut."""


def errors_of(provider: str, reply: Reply, *, both: bool = True, **made: Any) -> Iterator[APIError]:
    """What a call comes to: whole and streamed, by both clients or, for what only the codecs do, by `Client`."""
    made = {
        "model": "gpt-4" if provider == "yqcloud" else "m",
        "api_key": KEY,
        "base_url": "http://host.test",
        "retry": None,
        "trust_env": False,
    } | made

    def transport() -> MockTransport:
        return MockTransport([reply] * 2)

    async def asynchronous() -> list[APIError]:
        found = []
        async with AsyncClient(provider, transport=transport(), **made) as client:
            for stream in (False, True):
                try:
                    [chunk async for chunk in client.stream("Hi")] if stream else await client.chat("Hi")
                except APIError as error:
                    found.append(error)
        return found

    client = Client(provider, transport=transport(), **made)
    for stream in (False, True):
        try:
            list(client.stream("Hi")) if stream else client.chat("Hi")
        except APIError as error:
            yield error
    if both:
        yield from asyncio.run(asynchronous())


def shown_by(error: APIError) -> str:
    return f"{error} {error!r} {vars(error)!r} {pickle.dumps(error)!r}"


def visible(shown: str, *secrets: str) -> int:
    """How many characters of a secret, from its beginning or its end, can be read."""
    shown = shown.lower()
    for secret in map(str.lower, secrets):
        if secret[:SHOWN] not in shown and secret[-SHOWN:] not in shown:
            continue
        for size in range(len(secret), SHOWN - 1, -1):
            if secret[:size] in shown or secret[-size:] in shown:
                return size
    return 0


def mask(*headers: tuple[str, str], api_key: str | None = None, proxy: str | None = None) -> Mask:
    return Mask(find_secrets(headers, api_key, proxy and Proxy(proxy)))


# --- where a message is cut -----------------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("provider", WIRES)
def test_a_key_across_the_end_of_a_message_is_not_shown_but_for_its_last_character(provider: str) -> None:
    """Messages are cut at 500 characters whatever the wire; what else there may be to cut, one wire shows."""
    seen = 0
    for limit in (120, 500, 8192) if provider == WIRES[0] else (500,):
        for key in (KEY, "hunt3r"):
            words = f"{'x' * (limit - len(key) + 1)} {key} and so on"
            bodies = (words, json.dumps({"error": {"message": words}}), f"<html><title>{words}</title>")
            for status, body in [(status, body) for status in (200, 401) for body in bodies]:
                for error in errors_of(provider, Reply(status, body), both=provider == WIRES[0], api_key=key):
                    seen += 1
                    assert visible(shown_by(error), key) == 0
                    assert key[:3] not in str(error)
    assert seen > 10


def test_no_wire_cuts_what_it_quotes_of_a_reply_before_the_key_in_it_is_masked() -> None:
    """Of a short key, nothing is found once a part of it is missing. Wherever a cut is, one of the two bodies shows it."""
    for provider in WIRES[:6]:  # the others take any text for an answer
        for before, form in product(("", "xxx"), ('{"note":"%s"}', "%s", '["%s"]', "data: %s\n\n", '{"%s')):
            body = form % f"{before}{'hunt3r' * 100}"
            errors = list(errors_of(provider, Reply(body=body), both=False, api_key="hunt3r"))
            assert len(errors) == 2
            assert not [str(error) for error in errors if "hun" in str(error)], (provider, form)


def test_a_key_that_the_server_has_cut_is_masked_from_eight_characters_on() -> None:
    hide = mask(api_key=KEY)

    assert hide(f"you sent {KEY[:11]}...{KEY[-9:]}") == "you sent ***...***"
    assert hide(f"{KEY[5:]}…{KEY[:-5]}") == "***…***"
    assert hide(f"you sent {KEY[:7]}... of {KEY[-7:]}") == f"you sent {KEY[:7]}... of {KEY[-7:]}"
    for start in range(3, len(KEY) - 19):  # without `sk-`, and cut
        assert hide(f"you sent {KEY[start : start + 16]}…") == "you sent ***…"
        assert hide(f"({KEY[start : start + 17].upper()})") == "(***)"
    assert hide(KEY[5:14]) == KEY[5:14]


# --- spellings ------------------------------------------------------------------------------------------------------

ODD = """p"a's\\s/w+o r<d>&=.*(x)[y]$^{1}"""


@pytest.mark.parametrize("secret", [KEY, ODD, "hunter2"])
def test_a_secret_is_found_however_the_server_writes_it(secret: str) -> None:
    hide = mask(("X-Credential", secret), api_key=secret)
    in_html = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    spellings = {
        "as it is": secret,
        "in upper case": secret.upper(),
        "in lower case": secret.lower(),
        "percent-encoded": quote(secret, safe=""),
        "percent-encoded, in lower case": quote(secret, safe="").lower(),
        "in JSON": json.dumps(secret)[1:-1],
        "in JSON by PHP": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "in JSON by Go": json.dumps(secret)[1:-1]
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
        .replace("&", "\\u0026"),
        "in JSON, quoted by repr": repr(json.dumps(secret)[1:-1])[1:-1],
        "in HTML": in_html.replace("'", "&#x27;"),
        "in HTML, by numbers": in_html.replace("'", "&#39;").replace("&quot;", "&#34;"),
        "as bytes in hex": secret.encode().hex(),
        "percent-encoded throughout": "".join(f"%{byte:02X}" for byte in secret.encode()),
        "escaped throughout, as in JSON": "".join(f"\\u{ord(character):04x}" for character in secret),
        "escaped throughout, as in C": "".join(f"\\x{byte:02x}" for byte in secret.encode()),
        "in HTML, by numbers throughout": "".join(f"&#{ord(character)};" for character in secret),
        "in HTML, by numbers in hex": "".join(f"&#x{ord(character):X};" for character in secret),
    }
    for name, spelling in spellings.items():
        assert hide(f"{{{spelling}}}") == "{***}", name
    assert hide({"sent": [{spelling: (spelling.encode(), 1)} for spelling in spellings.values()]}) == {
        "sent": [{"***": (b"***", 1)}] * len(spellings)
    }
    for before in ("", "a", "ab"):
        encoded = base64.b64encode(f"{before}{secret} and more".encode()).decode()
        plain = base64.b64encode(secret.encode()).decode()
        assert plain[:-4] not in hide(plain)
        assert len(hide(encoded)) <= len(encoded) - len(secret) + 3, before


def test_a_key_that_begins_like_another_one_hides_neither() -> None:
    hide = mask(("X-Auth-Key", f"{KEY}-and-a-tail"), api_key=KEY)

    assert hide(f"{KEY}-and-a-tail, {KEY}, {KEY}{KEY}") == "***, ***, ***"


@pytest.mark.parametrize("key", ["a", "abc", "none", "local"])
def test_a_short_key_takes_no_letters_from_the_words_of_a_message(key: str) -> None:
    for error in errors_of("openai", Reply(401, "an abc for none, all local"), api_key=key):
        assert str(error) == "openai (host.test): HTTP 401: an abc for none, all local"


# --- headers, cookies, proxies, URLs --------------------------------------------------------------------------------


def basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


HEADERS = {
    "a cookie that is not the last": ("Cookie", "sid=SECRETSECRET1; theme=dark", "SECRETSECRET1"),
    "a cookie in the middle": ("cookie", 'a=1; session="SECRET%2Fx"; b=2', "SECRET/x"),
    "a short cookie, by its name": ("Cookie", "a=1; session=abc; b=2", "session=abc"),
    "X-Credential": ("X-Credential", "VERYSECRETVALUE", "VERYSECRETVALUE"),
    "x-session-id": ("x-session-id", "VERYSECRETVALUE", "VERYSECRETVALUE"),
    "X-SIGNATURE": ("X-SIGNATURE", "VERYSECRETVALUE", "VERYSECRETVALUE"),
    "X-Password": ("X-Password", "hunter2", "hunter2"),
    "a token": ("Authorization", "Token VERYSECRETVALUE", "VERYSECRETVALUE"),
    "a short token, by its scheme": ("Authorization", "Token x", "Token x"),
    "the password of Basic": ("Authorization", basic("user:hunter2hunter2"), "hunter2hunter2"),
    "Basic, decoded": ("Authorization", basic("user:hunter2hunter2"), "user:hunter2hunter2"),
    "Basic, not in capitals": (
        "authorization",
        basic("user:hunter2").lower()[:6] + basic("user:hunter2")[6:],
        "hunter2",
    ),
    "a key in place of Basic's user": ("Authorization", basic("rk_live_1234:"), "rk_live_1234"),
    "a proxy's": ("Proxy-Authorization", basic("me:hunter2hunter2"), "hunter2hunter2"),
    "Digest": ("Authorization", 'Digest username="me", response="0a1b2c3d4e5f"', "0a1b2c3d4e5f"),
    "a signature": ("Authorization", "AWS4-HMAC-SHA256 Credential=AKIA/us, Signature=0a1b2c3d4e5f", "0a1b2c3d4e5f"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_what_a_header_of_the_callers_holds_is_not_shown(name: str) -> None:
    header, value, secret = HEADERS[name]
    seen = 0
    for status, provider in ((200, "openai"), (401, "anthropic"), (500, "gemini")):
        body = json.dumps({"error": {"message": f"you sent {secret}, which is wrong"}})
        for error in errors_of(provider, Reply(status, body, headers={"x-seen": secret}), headers={header: value}):
            seen += "you sent ***, which is wrong" in str(error)
            assert secret not in shown_by(error)
    assert seen > 8


def test_the_proxys_password_is_masked_whoever_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    url, encoded = "http://me:hunter2%2Fhunter2@proxy.test:1", basic("me:hunter2/hunter2")
    reply = Reply(407, f"not hunter2/hunter2, hunter2%2Fhunter2, {encoded}")
    monkeypatch.setenv("http_proxy", url)
    for made in ({"proxy": url}, {"trust_env": True}):
        for error in errors_of("openai", reply, **made):
            assert str(error).rstrip("=") == "openai (host.test): HTTP 407: not ***, ***, Basic ***"


def test_urls_show_neither_a_password_nor_a_key() -> None:
    target = "https://me:passw0rd@other.test/v1?api_key=abcdef&x=1&X-Goog-Signature=012"
    reply = Reply(400, json={"error": {"message": f"see {target}"}}, headers={"x-next": target})
    for error in errors_of("openai", reply):
        assert isinstance(error, APIStatusError)
        masked = "https://***@other.test/v1?api_key=***&x=1&X-Goog-Signature=***"
        assert error.headers["x-next"] == masked
        assert error.body == {"error": {"message": f"see {masked}"}}
        assert str(error).endswith(f"see {masked}")
    for error in errors_of("openai", Reply(302, headers={"location": target})):
        assert "redirects to https://other.test/v1?…." in str(error)


# --- where else a secret is -----------------------------------------------------------------------------------------


def event(text: str) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': text}}]})}\n\n"


def test_a_partial_answer_shows_no_key_and_is_as_it_came_else() -> None:
    seen = 0
    for error in errors_of(
        "openai", Reply(chunks=[event(f"At ftp://a:b@c.test?key=d is {KEY}, "), event("so"), Cut()])
    ):
        if error.partial is not None:
            seen += 1
            assert error.partial.text == "At ftp://a:b@c.test?key=d is ***, so"
            assert visible(shown_by(error), KEY) == 0
    assert seen == 2


def test_the_models_name_and_the_requests_id_show_no_key() -> None:
    for provider in ("openai", "gemini"):
        for error in errors_of(
            provider, Reply(404, f"no model {KEY}", headers={"x-request-id": f"{KEY}\x1b" * 9}), model=KEY
        ):
            assert error.model == "***"
            assert visible(shown_by(error), KEY) == 0
            assert error.request_id is None or error.request_id.isprintable()


def test_no_attribute_of_an_error_from_elsewhere_shows_a_key() -> None:
    class OwnError(APIConnectionError):
        def __init__(self, message: str, hint: str) -> None:
            super().__init__(message)
            self.hint = hint

    class Failing:
        clock = MockTransport().clock

        def open(self, *_: Any) -> Any:
            error = OwnError("no", hint=f"sent {KEY}")
            error.body = f"sent {KEY}".encode()  # type: ignore[attr-defined]
            raise error

        def close(self) -> None: ...

    with pytest.raises(OwnError) as caught:
        Client("openai/m", api_key=KEY, transport=Failing(), retry=None).chat("Hi")

    assert (caught.value.hint, caught.value.body) == ("sent ***", b"sent ***")  # type: ignore[attr-defined]
    assert str(caught.value) == "openai (api.openai.com): no"


# --- messages -------------------------------------------------------------------------------------------------------

NASTY = "a\nforged line\x1b[2J\r\u2028\u202eb\x9b\ud800 \u200b\x00"


@pytest.mark.long
@pytest.mark.parametrize("provider", WIRES)
def test_a_message_is_short_and_on_one_line_that_prints(provider: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "llmclients")
    size = 10_000 if provider == WIRES[0] else 1_000  # of which 500 are shown
    words = json.dumps(NASTY + "m" * size)[1:-1]
    text = (NASTY + "m" * size).encode("utf-8", "replace").decode()
    bodies = [
        f'{{"error":{{"message":"{words}"}}}}',
        f'[{{"error":{{"message":"{words}"}}}}]',
        f'{{"detail":[{{"msg":"{words}"}}]}}',
        f'{{"error":"{words}"}}',
        text,
        f"<html><title>{text}</title>",
        f'data: {{"error":{{"message":"{words}"}}}}\n\n',
    ]
    for body in bodies:
        for status in (200, 503):
            reply = Reply(status, body, headers={"content-type": "text/event-stream"})
            for error in errors_of(provider, reply, both=provider == WIRES[0]):
                assert str(error).isprintable(), error
                assert len(str(error)) < 600
                assert "\x1b" not in repr(error)
    for record in caplog.records:
        assert record.getMessage().isprintable()
        assert len(record.getMessage()) < 700


def test_the_body_stays_whole_where_the_message_is_cut() -> None:
    body = {"error": {"message": "a\n" + "m" * 100_000}}
    for error in errors_of("openai", Reply(400, json=body)):
        assert isinstance(error, APIStatusError)
        assert error.body == body
        assert str(error).endswith("m…")


def test_what_the_caller_names_is_cut_as_well() -> None:
    client = Client("yqcloud", base_url="http://host.test", transport=MockTransport())
    for options in ({"model": NASTY + "m" * 10_000}, {NASTY + "m" * 10_000: 1}):
        with pytest.raises(ConfigurationError) as caught:
            client.chat("Hi", **options)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) <= 2001


def test_a_message_made_later_is_one_line_too() -> None:
    error = APIResponseError("a\nb")

    assert (str(error), str(error.copy_with("c\n\x1bd"))) == ("a b", "c \\x1bd")
    assert str(LLMClientError()) == ""


# --- pickles --------------------------------------------------------------------------------------------------------


class OwnError(APIError):
    """With a constructor that its message alone does not satisfy."""

    def __init__(self, message: str, code: int, **details: Any) -> None:
        super().__init__(message, **details)
        self.code = code


def refused() -> None:
    """What another process runs."""
    reply = Reply(429, json={"error": {"message": f"wrong: {KEY}"}}, headers={"retry-after": "3"})
    Client("openai/m", api_key=KEY, transport=MockTransport([reply]), retry=None).chat("Hi")


@pytest.mark.long
def test_an_error_comes_out_of_another_process_with_all_it_has() -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(APIStatusError) as caught:
        pool.submit(refused).result()
    error = caught.value

    assert (str(error), error.status_code, error.retry_after, error.retryable) == (
        "openai (api.openai.com): HTTP 429: wrong: ***",
        429,
        3.0,
        True,
    )
    assert error.body == {"error": {"message": "wrong: ***"}}


def test_an_error_of_a_class_from_elsewhere_survives_a_pickle() -> None:
    again = pickle.loads(pickle.dumps(OwnError("no\nway", 7, model="m")))

    assert (type(again), str(again), again.code, again.model) == (OwnError, "no way", 7, "m")


# --- cost -----------------------------------------------------------------------------------------------------------


def test_the_texts_of_a_body_are_kept_apart_whatever_is_in_them() -> None:
    hide = mask(api_key=KEY)
    private = "".join(map(chr, range(0xE000, 0xF900)))
    for odd in ("", "\ue000", "\ue000b\ue001", private):
        body = {odd: odd, "c": [KEY + odd, "", odd], KEY: (odd, 1)}
        assert hide(body) == {odd: odd, "c": ["***" + odd, "", odd], "***": (odd, 1)}


def test_the_log_shows_no_key_in_an_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "llmclients")
    address = f"http://host.test/{KEY}/v1"
    with Client("openai/m", api_key=KEY, base_url=address, transport=MockTransport([Reply.text("Hi")])) as client:
        client.chat("Hi")
    assert "http://host.test/***/v1/chat/completions: HTTP 200" in caplog.text
    assert visible(caplog.text, KEY) == 0


@pytest.mark.long
def test_masking_takes_no_more_time_whatever_is_in_a_body() -> None:
    hide = mask(("X-Key", "a" * 4000), ("X-Token", "ab" * 2000), api_key=KEY)
    size = 30_000
    nasty = [
        KEY[:SHOWN],
        KEY[-SHOWN:],
        KEY,
        "a",
        "a" * 3999 + "b",
        "ab" * 1999 + "c",
        "://",
        "?key",
        "&",
        "://a:b",
        "?token=",
    ]
    before = time.process_time()
    for part in nasty:
        hide((part * size)[:size] if len(part) == 1 else part * (size // len(part)), urls=True)
        hide([{part: part}] * (size // 2 // len(part) // 4), urls=True)
    hide(f"?{'key' * size}=", urls=True)
    for body in (b"<title" * 5_000, b"<html>" + b"<title>" * 5_000, b"<html>" + b" " * size, b'["' + b"\\n" * size):
        status_error(500, {}, body)

    assert time.process_time() - before < 2.5  # what is not linear takes ten and more
