"""The soak: many calls with faults among them, through both clients, against a server in another process."""
