"""The command line, `llmclients`."""
