"""Names that Ollama's requests and replies share."""

from __future__ import annotations

__all__ = ["CODEC_NAME"]

CODEC_NAME = "ollama"
"""The codec's name, and so the key of `provider_data` under which a call has what is kept here."""
