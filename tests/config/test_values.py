"""Timeouts, retry policy and proxies as values; what the environment says; no secret in any word."""

from __future__ import annotations

import copy
import os
import pickle
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from tables import table

from llmclients.config.environment import ca_bundle, check_base_url, check_headers, environ, environment_proxy
from llmclients.config.values import Proxy, RetryPolicy, Timeout
from llmclients.errors import RETRIED_STATUSES, ConfigurationError

NAN, INF = float("nan"), float("inf")
VARIABLES = (
    *(name for scheme in ("http", "https", "all", "no") for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")),
    *("REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


# --- Timeout --------------------------------------------------------------------------------------------------------


@table(
    "value, expected",
    [
        (None, Timeout(10, None, None)),
        (5, Timeout(10, 5, None)),
        (0.5, Timeout(10, 0.5, None)),
        (Timeout(1, 2, 3), Timeout(1, 2, 3)),
    ],
    ids=repr,
)
def test_what_a_caller_may_pass_as_timeout(value: Any, expected: Timeout) -> None:
    found = Timeout.coerce(value)

    assert found == expected
    assert all(type(seconds) is float for seconds in (found.connect, found.read_seconds))


BAD_SECONDS = [0, -1, -0.5, NAN, INF, -INF, True, False, "5", b"5", [], {}, 1j]


@table("name", ["connect", "read", "total", "write"])
def test_a_timeout_is_a_positive_number_of_seconds(name: str, subtests: pytest.Subtests) -> None:
    for value in BAD_SECONDS:
        with subtests.test(repr(value)):
            with pytest.raises(
                ConfigurationError, match=f"timeout.{name} must be a positive number of seconds"
            ) as caught:
                Timeout(**{name: value})

            assert caught.value.argument == f"timeout.{name}"


def test_sending_waits_as_long_as_reading_unless_it_is_told() -> None:
    assert (Timeout().write_seconds, Timeout(read=3).write_seconds) == (120, 3)
    assert Timeout(read=3, write=4).write_seconds == 4


def test_who_does_not_say_how_long_to_read_gets_a_limit_for_what_is_read() -> None:
    unsaid, said = Timeout(connect=1, total=9), Timeout(read=3, total=9)

    assert unsaid.with_read() == Timeout(1, 120, 9, write=120)
    assert unsaid.with_read(600) == Timeout(1, 600, 9, write=120), "a server takes what it is sent without thinking"
    assert Timeout(write=5).with_read(600) == Timeout(read=600, write=5)
    assert said.with_read() == said.with_read(600) == said


@table("value", BAD_SECONDS, ids=repr)
def test_a_bare_timeout_is_named_as_the_caller_named_it(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Timeout.coerce(value)

    assert caught.value.argument == "timeout"


# --- RetryPolicy ----------------------------------------------------------------------------------------------------


@table(
    "value, expected",
    [
        (None, RetryPolicy(attempts=1)),
        (False, RetryPolicy(attempts=1)),
        (1, RetryPolicy(attempts=1)),
        (5, RetryPolicy(attempts=5)),
        (RetryPolicy(jitter=0), RetryPolicy(jitter=0)),
    ],
    ids=repr,
)
def test_what_a_caller_may_pass_as_retry(value: Any, expected: RetryPolicy) -> None:
    assert RetryPolicy.coerce(value) == expected


def test_the_default_policy_is_two_retries_from_half_a_second_to_eight() -> None:
    assert RetryPolicy() == RetryPolicy(3, 0.5, 8.0, 0.25, 120.0, RETRIED_STATUSES)


@table("value", [0, -1, 1.0, 2.5, True, "3", None, NAN, []], ids=repr)
def test_attempts_are_a_whole_number_from_one(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"retry\.attempts") as caught:
        RetryPolicy(attempts=value)

    assert caught.value.argument == "retry.attempts"


@table("value", [True, "3", 0, -1, 2.0, [], Timeout()], ids=repr)
def test_a_bare_number_of_attempts_is_checked_too(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"retry\.attempts"):
        RetryPolicy.coerce(value)


@table("name", ["initial_wait", "max_wait", "max_retry_after"])
def test_waits_are_positive_numbers_of_seconds(name: str, subtests: pytest.Subtests) -> None:
    for value in [*BAD_SECONDS, None]:
        with subtests.test(repr(value)):
            with pytest.raises(ConfigurationError) as caught:
                RetryPolicy(**{name: value})

            assert caught.value.argument == f"retry.{name}"


@table("value", [-0.1, 1.1, NAN, INF, True, "0.5", None], ids=repr)
def test_jitter_is_a_share(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(jitter=value)

    assert caught.value.argument == "retry.jitter"


@table("value", [429, None, "429", ["429"], [None], {429: 1.0}.values()], ids=repr)
def test_statuses_are_a_set_of_numbers(value: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(statuses=value)

    assert caught.value.argument == "retry.statuses"


@table("value", [[429, 503], (429, 503), {429, 503}, iter([429, 503]), [HTTPStatus(429), 503]])
def test_statuses_may_come_as_any_collection(value: Any) -> None:
    assert RetryPolicy(statuses=value).statuses == frozenset({429, 503})


@table("value, field", [(Timeout(), "read"), (RetryPolicy(), "attempts"), (Proxy("http://u:p@h:1"), "url")], ids=repr)
def test_values_do_not_change_and_can_be_shared(value: Any, field: str) -> None:
    with pytest.raises(AttributeError):
        setattr(value, field, 1)

    assert pickle.loads(pickle.dumps(value)) == copy.deepcopy(value) == value
    assert len({value, copy.copy(value)}) == 1


# --- Proxy ----------------------------------------------------------------------------------------------------------


@table(
    "url, scheme, host, port, credentials, bare",
    [
        ("http://proxy", "http", "proxy", 80, None, "http://proxy"),
        ("http://proxy:3128/", "http", "proxy", 3128, None, "http://proxy:3128"),
        ("https://Proxy.Example", "https", "proxy.example", 443, None, "https://Proxy.Example"),
        (" http://proxy:1\n", "http", "proxy", 1, None, "http://proxy:1"),
        ("http://user:pass@proxy:3128", "http", "proxy", 3128, ("user", "pass"), "http://proxy:3128"),
        ("http://user@proxy", "http", "proxy", 80, ("user", ""), "http://proxy"),
        ("http://:pass@proxy", "http", "proxy", 80, ("", "pass"), "http://proxy"),
        ("http://u%40x:p%3A%2F%C3%A9@proxy", "http", "proxy", 80, ("u@x", "p:/é"), "http://proxy"),
        ("http://user:p@ss@proxy", "http", "proxy", 80, ("user", "p@ss"), "http://proxy"),
        ("http://[::1]:3128", "http", "::1", 3128, None, "http://[::1]:3128"),
        ("socks5://proxy", "socks5", "proxy", 1080, None, "socks5://proxy"),
        ("socks5h://u:p@proxy:9050", "socks5h", "proxy", 9050, ("u", "p"), "socks5h://proxy:9050"),
        ("socks4a://proxy", "socks4a", "proxy", 1080, None, "socks4a://proxy"),
        ("socks://u:p@proxy", "socks5h", "proxy", 1080, ("u", "p"), "socks5h://proxy"),
        ("HTTP://proxy", "http", "proxy", 80, None, "http://proxy"),
    ],
)
def test_a_proxy_s_parts(
    url: str, scheme: str, host: str, port: int, credentials: tuple[str, str] | None, bare: str
) -> None:
    proxy = Proxy(url)

    assert (proxy.scheme, proxy.host, proxy.port, proxy.credentials) == (scheme, host, port, credentials)
    assert proxy.url_without_credentials == bare
    assert proxy.is_socks is scheme.startswith("socks")
    assert Proxy.coerce(url) == proxy == Proxy(proxy.url)


SECRET = "s3cr3t"


@table(
    "url, words",
    [
        ("proxy:3128", "no scheme: write http://proxy:3128"),
        (f"user:{SECRET}@proxy:3128", "no scheme: write http://proxy:3128"),
        ("", "no scheme"),
        ("http://", "no valid host"),
        ("http:///path", "no valid host"),
        (f"http://user:{SECRET}@", "no valid host"),
        (f"ftp://user:{SECRET}@proxy", "proxy scheme 'ftp' is not one of http, https, socks4"),
        (f"http://user:{SECRET}@proxy:0", "port 0"),
        (f"http://user:{SECRET}@proxy:99999", "not a URL"),
        (f"http://user:{SECRET}@proxy:x{SECRET}", "not a URL"),
        (f"http://user:{SECRET}@[::1", "not a URL"),
        (f"http://user:{SECRET}@pro xy", "no valid host"),
        (f"http://user:{SECRET}/x@proxy", "not a URL"),
        (f"http://user:{SECRET}?x@proxy", "not a URL"),
        (f"http://user:{SECRET}#x@proxy", "not a URL"),
        (f"http://user:{SECRET}\u2100@proxy", "not a URL"),
        (f"http://user:1234/{SECRET}@proxy", "percent-encode"),
        (f"http://user:1234?{SECRET}@proxy", "percent-encode"),
        (f"http://user:1234#{SECRET}@proxy", "percent-encode"),
        (f"http://user:{SECRET}@proxy/path", "percent-encode"),
    ],
)
def test_a_malformed_proxy_url_is_refused_without_showing_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Proxy(url)

    assert caught.value.argument == "proxy"
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_number_at_the_end_of_a_cut_password_is_not_shown_as_a_port() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Proxy("http://user:1234/x@proxy")

    assert "1234" not in str(caught.value)


@table("value", [5, True, b"http://u:s3cr3t@h", ["http://u:s3cr3t@h"], {"http": "http://u:s3cr3t@h"}], ids=type)
def test_what_is_no_url_is_no_proxy(value: Any) -> None:
    for make in (Proxy, Proxy.coerce):
        with pytest.raises(ConfigurationError, match="proxy must be a URL") as caught:
            make(value)
        assert SECRET not in str(caught.value)
        assert caught.value.argument == "proxy"


@table("value", [None, False])
def test_no_proxy_and_the_environment_s_are_passed_on(value: bool | None) -> None:
    assert Proxy.coerce(value) is value


def test_a_password_is_never_shown() -> None:
    proxy = Proxy(f"http://user%40x:{SECRET}@proxy:3128")

    for shown in (repr(proxy), str(proxy), f"{proxy}", proxy.display, repr([proxy])):
        assert SECRET not in shown
        assert "user%40x:***@proxy:3128" in shown
    assert repr(Proxy("http://proxy")) == "Proxy('http://proxy')"


# --- the environment ------------------------------------------------------------------------------------------------


@table("value, expected", [(None, None), ("", None), ("  \t", None), (" a ", "a")])
def test_a_blank_variable_is_an_unset_one(
    monkeypatch: pytest.MonkeyPatch, value: str | None, expected: str | None
) -> None:
    monkeypatch.delenv("LLMCLIENTS_TEST", raising=False)
    if value is not None:
        monkeypatch.setenv("LLMCLIENTS_TEST", value)

    assert environ("LLMCLIENTS_TEST") == expected


HTTP, HTTPS = "http://api.example.com/v1", "https://api.example.com/v1"


@table(
    "variables, url, expected",
    [
        ({}, HTTPS, None),
        ({"HTTPS_PROXY": "http://p:1"}, HTTPS, "http://p:1"),
        ({"https_proxy": "http://p:1"}, HTTPS, "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, HTTP, None),
        ({"HTTP_PROXY": "http://p:1"}, HTTP, "http://p:1"),
        ({"HTTP_PROXY": "http://p:1"}, HTTPS, None),
        ({"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:2"}, HTTPS, "http://p:2"),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2"}, HTTPS, "http://p:1"),
        ({"ALL_PROXY": "http://p:3"}, HTTP, "http://p:3"),
        ({"all_proxy": "http://p:3"}, HTTPS, "http://p:3"),
        ({"ALL_PROXY": "http://p:3", "HTTPS_PROXY": "http://p:2"}, HTTPS, "http://p:2"),
        ({"ALL_PROXY": "socks://p:4"}, HTTPS, "socks5h://p:4"),
        ({"ALL_PROXY": "socks5h://u:p@p"}, HTTPS, "socks5h://u:p@p"),
        ({"HTTPS_PROXY": "p:5"}, HTTPS, "http://p:5"),
        ({"HTTPS_PROXY": "u:pw@p:5"}, HTTPS, "http://u:pw@p:5"),
        ({"HTTPS_PROXY": ""}, HTTPS, None),
        ({"HTTPS_PROXY": "", "ALL_PROXY": "http://p:3"}, HTTPS, "http://p:3"),
    ],
    ids=repr,
)
def test_the_environment_s_proxy(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str, expected: str | None
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert environment_proxy(url) == (Proxy(expected) if expected else None)


@table(
    "no_proxy, url, bypassed",
    [
        ("example.com.", "https://example.com/", True),
        ("example.com", "https://example.com./", True),
        ("", "http://example.com", False),
        ("*", "http://anything.example", True),
        ("example.com", "http://example.com", True),
        ("example.com", "http://EXAMPLE.com", True),
        ("EXAMPLE.COM", "http://api.example.com:8080/v1", True),
        ("example.com", "http://badexample.com", False),
        ("example.com", "http://example.com.evil.net", False),
        (".example.com", "http://api.example.com", True),
        (".example.com", "http://example.com", True),
        (".example.com", "http://badexample.com", False),
        ("*.example.com", "http://api.example.com", True),
        ("*.example.com", "http://badexample.com", False),
        ("other.net, example.com ,", "http://example.com", True),
        (" , ,", "http://example.com", False),
        ("other.net\nexample.com", "http://example.com", True),
        ("other.net example.com", "http://example.com", True),
        ("other.net,\r\n\texample.com:8080 ", "http://example.com:8080", True),
        (" \n\t", "http://example.com", False),
        ("other.net *", "http://example.com", True),
        ("other.net 10.0.0.0/8\nfd00::/8", "http://10.1.2.3", True),
        ("other.net 10.0.0.0/8\nfd00::/8", "http://[fd12::1]", True),
        (".other.net .example.com", "http://api.example.com", True),
        ("example.com:8080", "http://example.com:8080", True),
        ("example.com:8080", "http://example.com", False),
        ("example.com:80", "http://example.com", True),
        ("example.com:443", "https://example.com", True),
        ("example.com:80", "https://example.com", False),
        (".example.com:8080", "http://api.example.com:8080", True),
        ("example.com:²", "http://example.com", False),
        ("localhost", "http://localhost:8000", True),
        ("localhost", "http://127.0.0.1", False),
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8000", "http://127.0.0.1:8000", True),
        ("127.0.0.1:8000", "http://127.0.0.1:9000", False),
        ("127.0.0.1", "http://127.0.0.10", False),
        ("10.0.0.0/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.1.2.3/8", "http://10.9.9.9", True),
        ("10.0.0.0/99", "http://10.1.2.3", False),
        ("10.0.0.0/8", "http://10.example.com", False),
        ("0.0.1", "http://127.0.0.1", False),
        ("::1", "http://[::1]:8000", True),
        ("[::1]", "http://[::1]:8000", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("[::1]:8000", "http://[::1]:9000", False),
        ("fd00::/8", "http://[fd12::1]", True),
        ("fd00::/8", "http://[fe80::1]", False),
        ("fd00::/8", "http://10.0.0.1", False),
        ("0:0:0:0:0:0:0:1", "http://[::1]", True),
        ("bücher.example", "http://xn--bcher-kva.example", True),
        ("xn--bcher-kva.example", "http://bücher.example", True),
        ("XN--BCHER-KVA.example", "http://BÜCHER.example", True),
        ("bu\u0308cher.example", "http://bücher.example", True),
        (".bücher.example:80", "http://api.xn--bcher-kva.example", True),
        ("*.xn--bcher-kva.example", "http://api.bücher.example", True),
        ("faß.example", "http://xn--fa-hia.example", True),
        ("bücher.example", "http://bucher.example", False),
        ("ü" * 70 + " example.com", "http://example.com", True),
    ],
)
def test_no_proxy(monkeypatch: pytest.MonkeyPatch, no_proxy: str, url: str, bypassed: bool) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", no_proxy)

    assert environment_proxy(url) == (None if bypassed else Proxy("http://proxy:1"))


def test_lower_case_no_proxy_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy:1")
    monkeypatch.setenv("no_proxy", "example.com")

    assert environment_proxy("http://example.com") is None


@table("value", [f"ftp://u:{SECRET}@p", f"http://u:{SECRET}@", f"http://u:{SECRET}/x@p"])
def test_a_malformed_proxy_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)

    with pytest.raises(ConfigurationError, match="from the environment") as caught:
        environment_proxy(HTTPS)

    assert caught.value.argument == "https_proxy"
    assert SECRET not in str(caught.value)


# --- certificates ---------------------------------------------------------------------------------------------------


def test_where_certificate_authorities_come_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mine, theirs = tmp_path / "mine.pem", tmp_path / "theirs.pem"
    mine.touch()
    theirs.touch()
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(theirs))

    assert ca_bundle(verify=False, trust_env=True) is False
    assert ca_bundle(verify=True, trust_env=False) is True
    assert ca_bundle(verify=True, trust_env=True) == str(theirs)
    assert ca_bundle(verify=mine, trust_env=True) == str(mine)
    assert ca_bundle(verify=os.fspath(tmp_path), trust_env=True) == str(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(mine))
    assert ca_bundle(verify=True, trust_env=True) == str(mine)


@table("verify", [None, 0, 1, 5.0, []], ids=repr)
def test_what_verify_cannot_be(verify: Any) -> None:
    with pytest.raises(ConfigurationError, match="verify must be True, False or a path") as caught:
        ca_bundle(verify, trust_env=False)

    assert caught.value.argument == "verify"


def test_a_missing_bundle_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")

    with pytest.raises(ConfigurationError, match="verify: no such file") as caught:
        ca_bundle(missing, trust_env=False)
    assert caught.value.argument == "verify"
    monkeypatch.setenv("SSL_CERT_DIR", missing)
    with pytest.raises(ConfigurationError, match="SSL_CERT_DIR: no such file") as caught:
        ca_bundle(verify=True, trust_env=True)
    assert caught.value.argument == "SSL_CERT_DIR"


# --- URLs and headers -----------------------------------------------------------------------------------------------


@table(
    "url, expected",
    [
        ("http://host", "http://host"),
        ("https://host:8443/v1/", "https://host:8443/v1"),
        ("http://host/v1//", "http://host/v1"),
        ("HTTP://Host/V1", "HTTP://Host/V1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://127.0.0.1:1", "http://127.0.0.1:1"),
        ("http://bücher.example", "http://bücher.example"),
    ],
)
def test_a_base_url_loses_its_trailing_slash(url: str, expected: str) -> None:
    assert check_base_url(url) == expected


@table(
    "url, words",
    [
        (None, "must be a URL, not NoneType"),
        (5, "must be a URL, not int"),
        (b"http://host", "must be a URL, not bytes"),
        ("", "must begin with http:// or https://"),
        ("host", "must begin with http:// or https://, not 'host'"),
        ("localhost:8080/v1", "must begin with"),
        ("//host", "must begin with"),
        ("ftp://host", "must begin with"),
        ("file:///etc/passwd", "must begin with"),
        ("http:/host", "must begin with"),
        ("http://", "no valid host"),
        ("http:///v1", "no valid host"),
        ("http://:8080", "no valid host"),
        ("http://ho st", "no valid host"),
        ("http://host\n", "no valid host"),
        ("http://host/v 1", "no valid host"),
        ("http://host\x00", "no valid host"),
        ("http://host:0", "port 0"),
        ("http://host:port", "not a URL"),
        ("http://host:99999", "not a URL"),
        ("http://host:-1", "not a URL"),
        ("http://[::1", "not a URL"),
        (f"http://user:{SECRET}@host", "must not hold credentials"),
        (f"user:{SECRET}@host", "must begin with"),
        (f"ftp://user:{SECRET}@host", "must begin with"),
        (f"http://user:{SECRET}/x@host", "not a URL"),
        ("http://host?x=1", "query or a fragment"),
        ("http://host/v1#x", "query or a fragment"),
    ],
)
def test_a_malformed_base_url_is_refused(url: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        check_base_url(url)

    assert caught.value.argument == "base_url"
    assert SECRET not in str(caught.value)


def test_a_base_url_from_a_variable_is_named_by_it() -> None:
    with pytest.raises(ConfigurationError, match="OPENAI_BASE_URL must begin") as caught:
        check_base_url("host", "OPENAI_BASE_URL")

    assert caught.value.argument == "OPENAI_BASE_URL"


@table(
    "headers, expected",
    [
        (None, ()),
        ({}, ()),
        ({"X-A": "1", "b": ""}, (("X-A", "1"), ("b", ""))),
        ([("a", "1"), ("a", "2")], (("a", "1"), ("a", "2"))),
        ({"a!#$%&'*+-.^_`|~9": "tab\tand more"}, (("a!#$%&'*+-.^_`|~9", "tab\tand more"),)),
    ],
    ids=repr,
)
def test_headers_that_may_go_out(headers: Any, expected: tuple[tuple[str, str], ...]) -> None:
    assert check_headers(headers) == expected


@table("name", ["", " ", "a b", "a:", "a\r\nb", "ä", "a\x00", '"', "(", 5, None, b"a"], ids=repr)
def test_a_header_s_name_is_a_token(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="is not a header name") as caught:
        check_headers({name: "x"})

    assert caught.value.argument == "headers"


def test_a_request_s_length_is_not_the_caller_s_to_say() -> None:
    for name in ("Content-Length", "content-length", "Transfer-Encoding"):
        with pytest.raises(ConfigurationError, match=f"headers: {name} is what the body's length says"):
            check_headers({name: "3"})


@table(
    "value",
    [f"{SECRET}\r\nx: y", f"{SECRET}\n", f"{SECRET}\x00", f"{SECRET}\x7f", f"{SECRET}河", 5, None, b"x", [SECRET]],
    ids=repr,
)
def test_a_header_s_value_is_named_but_not_shown(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="the value of X-Key") as caught:
        check_headers({"X-Key": value})

    assert caught.value.argument == "headers"
    assert SECRET not in str(caught.value)


@table("headers", [5, "a: b", ["a: b"], [("a",)], [("a", "b", "c")], [None]], ids=repr)
def test_what_is_no_mapping_is_no_headers(headers: Any) -> None:
    with pytest.raises(ConfigurationError, match="headers must be a mapping") as caught:
        check_headers(headers)

    assert caught.value.argument == "headers"
