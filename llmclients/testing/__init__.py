"""The test kit for users' own programs: a scripted transport without sockets, and a loopback server with faults."""

from __future__ import annotations

from llmclients.testing.fault_server import FaultServer
from llmclients.transports.mock import ConnectFault, Cut, Delay, FakeClock, MockTransport, Reply, ScriptExhausted

__all__ = ["ConnectFault", "Cut", "Delay", "FakeClock", "FaultServer", "MockTransport", "Reply", "ScriptExhausted"]
