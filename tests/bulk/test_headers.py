"""The headers by which providers tell their limits, as they send them."""

from __future__ import annotations

from datetime import datetime

from llmclients.bulk.headers import allowances

NOW = datetime.fromisoformat("2025-08-21T12:40:00+00:00").timestamp()


def openai(limit: str, remaining: str, reset: str, kind: str = "requests") -> dict[str, str]:
    values = {"limit": limit, "remaining": remaining, "reset": reset}
    return {f"x-ratelimit-{what}-{kind}": value for what, value in values.items()}


CASES: list[tuple[dict[str, str], dict[str, tuple[float, float | None]]]] = [
    # OpenAI
    (openai("5000", "4999", "12ms"), {"requests": (5000, 4999)}),
    (openai("150000", "149984", "6m0s", "tokens"), {}),  # of 16 tokens? then it is no limit of a minute
    (openai("150000", "149984", "6ms", "tokens"), {"tokens": (150_000, 149_984)}),
    # Groq: requests a day
    (openai("14400", "14370", "2m59.56s") | openai("18000", "17997", "7.66ms", "tokens"), {"tokens": (18_000, 17_997)}),
    # Azure: seconds, and what it does not know
    (openai("120", "119", "1"), {"requests": (120, 119)}),
    (openai("-1", "-1", "0", "tokens"), {}),
    # Anthropic
    (
        {
            "anthropic-ratelimit-requests-limit": "1000",
            "anthropic-ratelimit-requests-remaining": "999",
            "anthropic-ratelimit-requests-reset": "2025-08-21T12:40:00Z",
            "anthropic-ratelimit-tokens-limit": "96000",
            "anthropic-ratelimit-tokens-remaining": "48000",
            "anthropic-ratelimit-tokens-reset": "2025-08-21T12:40:30Z",
        },
        {"requests": (1000, 999), "tokens": (96_000, 48_000)},
    ),
    # Mistral, and its word for a model that the plan lacks
    (
        {
            "x-ratelimit-limit-req-minute": "50",
            "x-ratelimit-remaining-req-minute": "49",
            "x-ratelimit-limit-tokens-minute": "50000",
            "x-ratelimit-remaining-tokens-minute": "47300",
        },
        {"requests": (50, 49), "tokens": (50_000, 47_300)},
    ),
    ({"x-ratelimit-limit-req-minute": "0"}, {}),
    # Cerebras
    (openai("200000", "195000", "30.2", "tokens-minute"), {"tokens": (200_000, 195_000)}),
    (openai("14400", "14399", "33011.38", "requests-day"), {}),
    # nothing, and nonsense
    ({"content-type": "application/json"}, {}),
    (openai("many", "few", "soon"), {}),
    (openai("100", "nan", "1h1h1h" * 40), {"requests": (100, None)}),
    (openai("100", "50", "2025-13-45T00:00:00Z"), {"requests": (100, 50)}),
]


def test_each_provider_s_limits_are_read() -> None:
    for headers, expected in CASES:
        assert allowances(headers, NOW) == expected, headers
