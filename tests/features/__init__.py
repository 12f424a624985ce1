"""The tables of `docs/providers.md`, made by asking every provider's client for every feature."""
