"""Checks of whole replies, and of error bodies."""

from __future__ import annotations

from itertools import chain, cycle

from llmclients.errors import APIError, APIStatusError
from llmclients.testing.codec_suite.base import Checks, each, errors, good_streams, replies
from llmclients.testing.codec_suite.decoding import Outcome, whole_reply
from llmclients.testing.codec_suite.mutations import mutations
from llmclients.testing.codec_suite.purity import sealed
from llmclients.testing.codec_suite.recording import Recording
from llmclients.testing.codec_suite.samples import MALFORMED, named
from llmclients.types.response import ChatResponse

__all__ = ["ReplyChecks"]

_STATUSES = (400, 401, 403, 404, 408, 409, 418, 422, 429, 500, 502, 503, 529, 599, 300, 100)


class ReplyChecks(Checks):
    """What `decode` and `decode_error` must do."""

    def test_there_is_something_to_check(self) -> None:
        kinds = ["streams", "errors", *(["replies"] if self.codec.whole_replies else [])]
        missing = [kind for kind in kinds if not self.recorded(kind)]
        assert not missing, f"no recordings: {', '.join(missing)}"
        assert good_streams(self), "no stream ends well"

    @each(replies)
    def test_a_whole_reply_is_read(self, reply: Recording) -> None:
        found = self._decoded(reply.data)
        reply.check(found)
        with sealed(self.codec):  # now that what is loaded when it is first needed is loaded
            assert self._decoded(reply.data) == found, "it comes to something else when it is read again"
        if not reply.fails:
            assert found.response.raw is not None, "raw is to hold the provider's reply"

    def test_what_is_no_reply_is_an_error(self) -> None:
        for data in MALFORMED:
            with named(repr(data[:50])):
                found = self._decoded(data)
            assert found.error is not None, f"{data[:50]!r} is no reply, but comes to {found.response!r}"

    def test_a_reply_with_wrong_types_and_numbers_crashes_nothing(self) -> None:
        for name, change, body in mutations([(str(reply), reply.data) for reply in replies(self)]):
            with named(f"{name} with {change}"):
                self._decoded(body)

    @each(errors)
    def test_an_error_body_becomes_its_error(self, recorded: Recording) -> None:
        status, headers = recorded.expected["status"], recorded.expected.get("headers", {})
        error = self.codec.decode_error(status, headers, recorded.data)
        assert isinstance(error, APIStatusError)
        assert error.status_code == status, f"the status is {error.status_code}"
        assert error.headers == headers, f"the headers are {error.headers}"
        recorded.check_error(error, whole_message=True)

    def test_any_error_body_is_an_error_of_its_status(self) -> None:
        recorded = [(str(case), case.data) for case in self.recorded("errors")]
        for what, body in recorded:
            for status in _STATUSES:
                self._check_status(what, body, status)
        no_errors = [(str(case), case.data) for kind in ("replies", "streams") for case in self.recorded(kind)]
        malformed = [(repr(data[:50]), data) for data in MALFORMED]
        changed = ((f"{name} with {change}", body) for name, change, body in mutations(recorded + no_errors))
        bodies = chain(no_errors, malformed, changed)
        for (what, body), status in zip(bodies, cycle(_STATUSES), strict=False):
            self._check_status(what, body, status)

    def _check_status(self, what: str, body: bytes, status: int) -> None:
        with named(what):
            error = self.codec.decode_error(status, {}, body)
        assert isinstance(error, APIStatusError), f"{what} is {error!r}"
        assert error.status_code == status, f"{what} with status {status} has {error.status_code}"

    def _decoded(self, body: bytes) -> Outcome:
        try:
            return Outcome(whole_reply(self.codec, body))
        except APIError as error:  # anything else is a crash
            return Outcome.from_error(error, ChatResponse())
