"""The command line, `llmclients`: an entry point, the arguments, the commands."""
