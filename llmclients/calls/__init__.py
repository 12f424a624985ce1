"""One call from its request to its response, without I/O: flow, retries, fallback, tool loop."""
