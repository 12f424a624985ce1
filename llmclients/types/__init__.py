"""The values that go in and come out of a call: messages, content parts, requests, tools, chunks and responses."""
