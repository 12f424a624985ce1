"""The tree of errors, and what each of them carries."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from llmclients import errors
from llmclients.errors import (
    RETRIED_STATUSES,
    AccessBlockedError,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    InternalServerError,
    InvalidRequestError,
    LLMClientError,
    MissingAPIKeyError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ProviderWarning,
    RateLimitError,
    ResponseTooLargeError,
    StreamInterruptedError,
    StructuredOutputError,
    ToolLoopError,
    UnknownProviderError,
    UnprocessableEntityError,
    UnsupportedOptionError,
    shown_url,
    status_error_class,
)
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Usage

TREE: dict[type[Exception], type[Exception]] = {
    LLMClientError: Exception,
    ToolLoopError: LLMClientError,
    ConfigurationError: LLMClientError,
    UnknownProviderError: ConfigurationError,
    MissingAPIKeyError: ConfigurationError,
    UnsupportedOptionError: ConfigurationError,
    InvalidRequestError: ConfigurationError,
    APIError: LLMClientError,
    APIConnectionError: APIError,
    StreamInterruptedError: APIConnectionError,
    APITimeoutError: APIError,
    APIResponseError: APIError,
    ResponseTooLargeError: APIResponseError,
    StructuredOutputError: APIResponseError,
    APIStatusError: APIError,
    BadRequestError: APIStatusError,
    AuthenticationError: APIStatusError,
    PermissionDeniedError: APIStatusError,
    NotFoundError: APIStatusError,
    ConflictError: APIStatusError,
    UnprocessableEntityError: APIStatusError,
    RateLimitError: APIStatusError,
    AccessBlockedError: RateLimitError,
    InternalServerError: APIStatusError,
    OverloadedError: InternalServerError,
}
STATUS_ERRORS = [kind for kind in TREE if issubclass(kind, APIStatusError)]


def test_the_tree_is_the_documented_one() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, BaseException)}

    assert classes == {*TREE, ProviderWarning}
    assert {kind: kind.__bases__ for kind in TREE} == {kind: (base,) for kind, base in TREE.items()}
    assert ProviderWarning.__bases__ == (UserWarning,)


def test_every_error_has_words_about_itself() -> None:
    assert all(kind.__doc__ for kind in TREE)


def test_every_error_status_has_its_class(subtests: pytest.Subtests) -> None:
    named = {
        400: BadRequestError,
        401: AuthenticationError,
        403: PermissionDeniedError,
        404: NotFoundError,
        409: ConflictError,
        422: UnprocessableEntityError,
        429: RateLimitError,
        529: OverloadedError,
    }

    for status in range(400, 600):
        with subtests.test(status=status):
            expected = named.get(status, InternalServerError if status >= 500 else APIStatusError)
            assert status_error_class(status) is expected


def test_the_statuses_of_passing_trouble_are_retryable(subtests: pytest.Subtests) -> None:
    for status in range(400, 600):
        with subtests.test(status=status):
            expected = status in {408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}
            assert status_error_class(status)("x", status_code=status).retryable is expected
            assert (status in RETRIED_STATUSES) is expected


def test_what_is_retryable_unless_somebody_says_otherwise(subtests: pytest.Subtests) -> None:
    cases: list[tuple[APIError, bool]] = [
        (APIError("x"), False),
        (APIConnectionError("x"), True),
        (StreamInterruptedError("x"), True),
        (APIResponseError("x"), False),
        (ResponseTooLargeError("x"), False),
        (APITimeoutError("x"), True),
        (APITimeoutError("x", phase="connect"), True),
        (APITimeoutError("x", phase="read"), True),
        (APITimeoutError("x", phase="total"), False),
        (APIStatusError("x"), False),
        (RateLimitError("x", status_code=429), True),
        (RateLimitError("x", status_code=429, retryable=False), False),
        (BadRequestError("x", status_code=400, retryable=True), True),
        (AccessBlockedError("x", status_code=429), False),
        (AccessBlockedError("x", status_code=429, retryable=True), False),
        (APIConnectionError("x", retryable=False), False),
        (APITimeoutError("x", phase="total", retryable=True), True),
    ]
    for error, expected in cases:
        with subtests.test(repr(error)):
            assert error.retryable is expected


def test_what_is_not_said_is_none() -> None:
    error = APIStatusError("x")

    assert vars(error) == {
        "provider": None,
        "model": None,
        "request_id": None,
        "retryable": False,
        "partial": None,
        "previous_errors": (),
        "status_code": 0,
        "body": None,
        "headers": {},
        "retry_after": None,
    }
    assert vars(ConfigurationError("x")) == {"argument": None}
    assert APITimeoutError("x").phase == "read"
    assert str(error) == "x"


def test_an_error_keeps_headers_of_its_own() -> None:
    headers = {"retry-after": "1"}
    error = APIStatusError("x", headers=headers)
    headers.clear()

    assert error.headers == {"retry-after": "1"}


PARTIAL = ChatResponse(
    text="Fo", usage=Usage(input_tokens=1), tool_calls=[ToolCall(id="a", name="f", arguments="{")], raw={"x": 1}
)


def full(kind: type[Any]) -> Any:
    """An error with every attribute set to something that is not its default."""
    if issubclass(kind, ConfigurationError):
        return kind("the message", argument="stop")
    if not issubclass(kind, APIError):
        return kind("the message")
    details: dict[str, Any] = {"provider": "p", "model": "m", "request_id": "r", "partial": PARTIAL}
    details["retryable"] = not kind("x").retryable
    if issubclass(kind, APITimeoutError):
        details["phase"] = "connect"
    if issubclass(kind, APIStatusError):
        details |= {"status_code": 418, "body": {"error": [1]}, "headers": {"a": "b"}, "retry_after": 1.5}
    return kind("the message", **details)


@pytest.mark.parametrize("how", ["pickle", "copy", "deepcopy"])
def test_a_copy_in_another_process_keeps_everything(how: str, subtests: pytest.Subtests) -> None:
    for kind in TREE:
        with subtests.test(kind.__name__):
            error = full(kind)
            error.args = (f"p (host): {error}",)  # as a call does it, on the way to the caller

            copies = {
                "pickle": [
                    pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
                ],
                "copy": [copy.copy(error)],
                "deepcopy": [copy.deepcopy(error)],
            }[how]

            for again in copies:
                assert type(again) is kind
                assert str(again) == "p (host): the message"
                assert vars(again) == vars(error)
                assert again.args == error.args


def test_the_errors_of_earlier_attempts_are_copied_too() -> None:
    error = APIConnectionError("last")
    error.previous_errors = (full(RateLimitError), full(APITimeoutError))

    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert [(type(one), str(one), vars(one)) for one in again.previous_errors] == [
            (type(one), str(one), vars(one)) for one in error.previous_errors
        ]


def test_a_status_error_is_an_api_error_with_a_status(subtests: pytest.Subtests) -> None:
    for kind in STATUS_ERRORS:
        with subtests.test(repr(kind)):
            error = full(kind)

            assert (error.status_code, error.body, error.headers, error.retry_after) == (
                418,
                {"error": [1]},
                {"a": "b"},
                1.5,
            )
            assert error.partial is PARTIAL


def test_a_shown_url_has_no_user_password_or_query() -> None:
    for url, shown in {
        "https://api.example/v1": "https://api.example/v1",
        "https://user:pass@api.example:8443/v1": "https://api.example:8443/v1",
        "https://api.example/a/@me/b.png?sig=k": "https://api.example/a/@me/b.png?…",
        "https://api.example:8443/@me": "https://api.example:8443/@me",
        "http://[::1]:80/@me#k": "http://[::1]:80/@me#…",
        "ftp://user:pa/ss@api.example/v1": "ftp://api.example/v1",
        "user:pass@api.example": "api.example",
        "user:pa/ss@api.example?k": "api.example?…",
        "/v1/models?key=k": "/v1/models?…",
        "": "",
    }.items():
        assert shown_url(url) == shown
