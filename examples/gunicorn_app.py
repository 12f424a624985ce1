"""A bare WSGI program in several processes. Run it: gunicorn --preload --workers 2 --threads 8 gunicorn_app:app"""

import logging
from urllib.parse import parse_qs

from llmclients import APIError, Client, RateLimitError, RetryPolicy

client = Client("openai/gpt-4.1-mini", retry=RetryPolicy(max_retry_after=5))
client.chat("Answer with: ready")  # a wrong key ends the start; with --preload, this comes before the fork

PLAIN = ("Content-Type", "text/plain; charset=utf-8")


def app(environ, start_response):
    prompts = parse_qs(environ["QUERY_STRING"]).get("prompt")
    if prompts is None:
        start_response("400 Bad Request", [PLAIN])
        return [b"there is no prompt"]
    try:
        stream = client.stream(prompts[0]).open()
    except RateLimitError:
        start_response("503 Service Unavailable", [PLAIN, ("Retry-After", "60")])
        return [b"Too many questions at once. Try again in a minute."]
    except APIError as error:
        logging.getLogger("gunicorn.error").error("no answer: %s", error)
        start_response("502 Bad Gateway", [PLAIN])
        return [b"The model does not answer. Try again later."]
    start_response("200 OK", [PLAIN])
    return pieces(stream)


def pieces(stream):
    with stream:
        for text in stream.text_stream:
            yield text.encode()
