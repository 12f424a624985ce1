"""An endpoint that passes an answer on while it is written. Run it: uvicorn fastapi_app:app"""

import logging
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, Field

from llmclients import APIError, AsyncClient, RateLimitError, RetryPolicy


@asynccontextmanager
async def lifespan(app):
    async with AsyncClient("openai/gpt-4.1-mini", retry=RetryPolicy(max_retry_after=5)) as app.state.client:
        yield


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    prompt: str = Field(min_length=1)


@app.post("/chat")
async def chat(question: Question, request: Request):
    client = request.app.state.client
    stream = await client.stream(question.prompt).open()  # a refusal is raised here, before a status has gone out
    return StreamingResponse(pieces(stream), media_type="text/plain; charset=utf-8")


async def pieces(stream):
    async with stream:  # a reader who goes away cancels this, and with it the request to the provider
        async for text in stream.text_stream:
            yield text  # an answer that breaks off is raised here: the body then ends without its end mark


@app.exception_handler(APIError)
async def no_answer(request, error):
    logging.getLogger("uvicorn.error").error("no answer: %s", error)
    if isinstance(error, RateLimitError):
        words = {"error": "Too many questions at once. Try again in a minute."}
        return JSONResponse(words, 503, {"Retry-After": "60"})
    return JSONResponse({"error": "The model does not answer. Try again later."}, 502)
