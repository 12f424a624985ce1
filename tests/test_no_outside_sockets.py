"""The guard in the root conftest.py: tests stay on this machine."""

from __future__ import annotations

import asyncio

import pytest

from llmclients import AsyncClient, Client

ELSEWHERE = "http://192.0.2.1:9"  # reserved for documentation: nobody is there


def test_a_client_that_reaches_out_fails_its_test() -> None:
    with pytest.raises(AssertionError, match="beyond this machine"):
        Client("openai/m", base_url=ELSEWHERE, trust_env=False).chat("Hi")


def test_an_async_client_that_reaches_out_fails_its_test() -> None:
    async def main() -> None:
        async with AsyncClient("openai/m", base_url=ELSEWHERE, trust_env=False) as client:
            await client.chat("Hi")

    with pytest.raises(AssertionError, match="beyond this machine"):
        asyncio.run(main())
