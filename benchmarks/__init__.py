"""The benchmark: llmclients against its peers, and against the least that a client can do. `make bench` runs it."""
