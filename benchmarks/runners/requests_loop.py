"""What people write by hand with requests."""

from __future__ import annotations

import json

import requests

from benchmarks.runners import Take
from benchmarks.wire import MODEL, PROMPT


class Sync:
    """A session, `iter_lines` and json."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/chat/completions"
        self._session = requests.Session()
        self._session.headers["Authorization"] = "Bearer key"

    def stream(self, take: Take) -> None:
        payload = {"model": MODEL, "messages": PROMPT, "stream": True}
        with self._session.post(self._url, json=payload, stream=True, timeout=120) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith(b"data: ") and line != b"data: [DONE]":
                    for choice in json.loads(line[6:])["choices"]:
                        if text := choice["delta"].get("content"):
                            take(text)

    def chat(self) -> str:
        response = self._session.post(self._url, json={"model": MODEL, "messages": PROMPT}, timeout=120)
        response.raise_for_status()
        text: str = response.json()["choices"][0]["message"]["content"]
        return text

    def close(self) -> None:
        self._session.close()
