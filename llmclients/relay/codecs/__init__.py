"""The wire formats from the server's side: requests decoded, replies encoded. The mirror of `llmclients.codecs`."""
