"""A client's arguments, checked once for both clients."""

from __future__ import annotations

from typing import Any

import pytest
from tables import table

from llmclients import AsyncClient, Client, ConfigurationError


@table("client", [Client, AsyncClient])
@table("name, hint", [("modle", ": did you mean 'model'?"), ("transports", ": did you mean 'transport'?"), ("zzz", "")])
def test_an_argument_that_no_client_has_is_refused_with_the_nearest_one(client: Any, name: str, hint: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        client("yqcloud", **{name: None})

    assert str(caught.value) == f"a client has no argument {name!r}{hint}"
    assert caught.value.argument == name
