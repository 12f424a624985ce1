"""Providers as data: what one is (`provider`), the ones we know (`builtin`, `presets`), all by name (`registry`)."""
