"""Providers as data: what one is (`provider`), those we know (`builtin`, `presets`, `hosts`), by name (`registry`)."""
