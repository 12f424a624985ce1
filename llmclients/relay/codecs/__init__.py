"""The wires from the server's side: requests decoded, replies encoded."""
