"""The test kit for users' own programs: scripted clients without sockets, and a loopback server with faults."""

from __future__ import annotations

from llmclients.testing.fault_server import FaultServer
from llmclients.testing.mocking import mock_clients
from llmclients.testing.reply import Reply
from llmclients.transports.mock import (
    ConnectFault,
    Cut,
    Delay,
    FakeClock,
    MockRequest,
    MockTransport,
    ScriptError,
    ScriptExhausted,
)

__all__ = [
    "ConnectFault",
    "Cut",
    "Delay",
    "FakeClock",
    "FaultServer",
    "MockRequest",
    "MockTransport",
    "Reply",
    "ScriptError",
    "ScriptExhausted",
    "mock_clients",
]
