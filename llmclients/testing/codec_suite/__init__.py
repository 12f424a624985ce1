"""`CodecSuite`: the tests that every codec must pass. A codec's test module has a subclass, and pytest does the rest:

```python
class TestParrot(CodecSuite):
    codec = ParrotCodec()
    streams = [(b'{"say": "Hi"}\\n{"end": "done"}\\n', "", {"text": "Hi", "finish_reason": "stop"})]
    errors = [(500, {}, b"asleep", InternalServerError)]
```
"""

from __future__ import annotations

from llmclients.testing.codec_suite.calls import CallChecks
from llmclients.testing.codec_suite.decoding import (
    Outcome,
    chunks_of,
    cut_at,
    decode,
    every_split,
    plain,
    splittings,
    whole_reply,
)
from llmclients.testing.codec_suite.recording import Recording, load_recordings
from llmclients.testing.codec_suite.replies import ReplyChecks
from llmclients.testing.codec_suite.requests import RequestChecks
from llmclients.testing.codec_suite.streams import StreamChecks

__all__ = [
    "CodecSuite",
    "Outcome",
    "Recording",
    "chunks_of",
    "cut_at",
    "decode",
    "every_split",
    "load_recordings",
    "plain",
    "splittings",
    "whole_reply",
]


class CodecSuite(RequestChecks, ReplyChecks, StreamChecks, CallChecks):
    """The tests of a codec, for a subclass whose name begins with `Test`.

    A test that goes through recordings, fields or options names each of them that fails. What the wire has not (whole
    replies, options of its own) has no such cases, and passes. A test that does not fit is switched off by setting it
    to None in the subclass. Nothing here needs pytest: `checks()` has every case of every test as a function.

    Attributes:
        codec: the codec.
        recordings: a folder with `requests`, `replies`, `streams` and `errors`; in each, `NAME` has the bytes and
            `NAME.json` what they come to. The tables below are for those who would rather write them down. The first
            good stream for each class of decoder is cut at every byte, so it should be one of the ordinary.
        requests: `(what was asked, the body's bytes)`: a dict with `messages`, and where they matter `model`, `stream`,
            `options`, `codec_options`, `api_key`, `path`, `method`, `headers`.
        replies: `(bytes, fields of the ChatResponse)`, or `(bytes, the error's class)`.
        streams: `(bytes, Content-Type, fields)`, `(…, the error's class)`, or both, for one that breaks off.
        errors: `(status, headers, bytes, the error's class)`.
        model: the model's name in the requests that the checks make.
        has_end_mark: False for a wire whose answer ends with the HTTP body, so that `done` is set by `finish` alone.
        field_values: by field of `ChatRequest`, values to try where the suite's own do not fit the wire.
        option_values: by option of the codec's own, values to try besides those guessed from its type.
    """
