"""The wires from the side of a server that says what a script tells it: a writer of replies for each."""
