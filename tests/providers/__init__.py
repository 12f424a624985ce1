"""Tests of the providers: the registry, and the presets as data."""
