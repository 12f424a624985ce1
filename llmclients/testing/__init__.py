"""What users need to test their own programs: a scripted transport without sockets, and a server with every fault."""

from __future__ import annotations

from llmclients.testing.fault_server import FaultServer
from llmclients.transports.mock import ConnectFault, Cut, Delay, FakeClock, MockTransport, Reply, ScriptExhausted

__all__ = ["ConnectFault", "Cut", "Delay", "FakeClock", "FaultServer", "MockTransport", "Reply", "ScriptExhausted"]
