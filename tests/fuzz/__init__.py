"""Fuzzing: what must hold for any bytes. `make fuzz` searches with atheris; pytest replays what it found."""
