"""The names by which requests of this wire recognize what its replies brought."""

from __future__ import annotations

__all__ = ["CODEC_NAME", "INVENTED_ID"]

CODEC_NAME = "gemini"
"""The codec's name, and its key in `provider_data`."""

INVENTED_ID = "llmclients_"
"""How the ids begin that this library gives to calls which came without one: they have never been on the wire."""
