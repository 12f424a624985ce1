"""The relay's soak: hundreds of streams at once through a relay in a process of its own, clients that leave among them."""
