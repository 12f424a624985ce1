"""`docs/reliability.md`, made from the stored results of the soak, the fuzzing and the fault table."""
