"""Django in one file, under WSGI and ASGI. Run it: gunicorn --threads 8 django_app:wsgi, or uvicorn django_app:asgi"""

import logging

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponseBadRequest, JsonResponse, StreamingHttpResponse
from django.urls import path

from llmclients import APIError, AsyncClient, Client, RateLimitError, RetryPolicy

settings.configure(ALLOWED_HOSTS=["localhost", "127.0.0.1"], ROOT_URLCONF=__name__, SECRET_KEY="yours")

patience = RetryPolicy(max_retry_after=5)
client = Client("openai/gpt-4.1-mini", retry=patience)  # for all threads
async_client = AsyncClient("openai/gpt-4.1-mini", retry=patience)  # for all event loops


def chat(request):
    """For WSGI."""
    prompt = request.GET.get("prompt")
    if not prompt:
        return HttpResponseBadRequest("there is no prompt")
    try:
        stream = client.stream(prompt).open()
    except APIError as error:
        return no_answer(error)
    return StreamingHttpResponse(pieces(stream), content_type="text/plain; charset=utf-8")


def pieces(stream):
    with stream:
        yield from stream.text_stream


async def async_chat(request):
    """For ASGI."""
    prompt = request.GET.get("prompt")
    if not prompt:
        return HttpResponseBadRequest("there is no prompt")
    try:
        stream = await async_client.stream(prompt).open()
    except APIError as error:
        return no_answer(error)
    return StreamingHttpResponse(async_pieces(stream), content_type="text/plain; charset=utf-8")


async def async_pieces(stream):
    async with stream:
        async for text in stream.text_stream:
            yield text


def no_answer(error):
    logging.getLogger("django.request").error("no answer: %s", error)
    if isinstance(error, RateLimitError):
        words = {"error": "Too many questions at once. Try again in a minute."}
        return JsonResponse(words, status=503, headers={"Retry-After": "60"})
    return JsonResponse({"error": "The model does not answer. Try again later."}, status=502)


urlpatterns = [path("chat", chat), path("async-chat", async_chat)]
wsgi = get_wsgi_application()
asgi = get_asgi_application()
