"""`ShardJob`: what all shards of a run have in common, as the caller gives it to the workers, by a file."""

# The client's settings are pickled, and a pickle of them is without the key (`config/pickled.py`): each worker finds it
# in its environment, or says that it has none.

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from llmclients._version import __version__
from llmclients.config.client import ClientSettings
from llmclients.errors import ConfigurationError

__all__ = ["ShardJob", "dump_job", "load_job"]


class ShardJob(NamedTuple):
    """What all shards of a run have in common.

    Attributes:
        settings: the client's, with limits that processes can share, or none.
        options: of all rows.
        concurrency: how many rows a worker asks at a time.
        strict: whether a row that cannot be asked ends the run.
        unit: what the input's lines are called.
        header: of the shards' journals.
        began: when the run did, in seconds of the wall clock.
    """

    settings: ClientSettings
    options: Mapping[str, Any]
    concurrency: int
    strict: bool
    unit: str
    header: Mapping[str, Any]
    began: float


def dump_job(job: ShardJob) -> bytes:
    """The job's file.

    Raises:
        ConfigurationError: something of it cannot leave this process.
    """
    import cloudpickle

    try:
        pickled: bytes = cloudpickle.dumps(tuple(job))
    except (TypeError, pickle.PicklingError) as error:
        raise ConfigurationError(f"cluster: this cannot be given to a worker: {error}", argument="cluster") from None
    return f"{__version__}\n".encode() + pickled


def load_job(path: str) -> ShardJob:
    """The job of a file, with the key of this process.

    Raises:
        ConfigurationError: it is of another version of this package, or nothing can be asked with it here.
        OSError: it cannot be read.
    """
    version, _, pickled = Path(path).read_bytes().partition(b"\n")
    if version != __version__.encode():
        raise ConfigurationError(f"it has llmclients {__version__}, and the caller has {version.decode()}")
    try:
        job = ShardJob(*pickle.loads(pickled))
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"it cannot load what the caller uses: {error}") from None
    for settings in (job.settings, *(other.settings for other in job.settings.fallbacks)):
        if settings.unusable is not None:
            raise ConfigurationError(_without_key(settings))
    return job


def _without_key(settings: ClientSettings) -> str:
    """Why there is no key here."""
    provider = settings.provider
    variables = " or ".join(provider.key_variables + provider.token_variables)
    if settings.key_source == "argument" and not settings.is_default_endpoint:
        return (
            f"a key that was given as api_key= stays in its process: for {provider.name}, set {variables} for the "
            "caller and for the workers"
        )
    return f"it has no key for {provider.name}: set {variables} in the environment of the workers"
