"""A page that shows an answer while it is written. Run it: flask --app flask_app run"""

import json

from flask import Flask, Response, abort, request

from llmclients import APIError, Client, RateLimitError, RetryPolicy

app = Flask(__name__)
client = Client("openai/gpt-4.1-mini", retry=RetryPolicy(max_retry_after=5))  # one for all threads

PAGE = """<!DOCTYPE html>
<form><input name="prompt" required> <button>Ask</button></form>
<p id="answer" style="white-space: pre-wrap"></p>
<script>
  const answer = document.getElementById("answer")
  let source
  document.forms[0].onsubmit = event => {
    event.preventDefault()
    source?.close()
    answer.textContent = ""
    source = new EventSource("/chat?" + new URLSearchParams(new FormData(event.target)))
    const end = words => { source.close(); answer.textContent += words }
    source.addEventListener("text", event => { answer.textContent += JSON.parse(event.data) })
    source.addEventListener("done", () => end(""))
    source.addEventListener("failed", event => end(JSON.parse(event.data)))
    source.onerror = () => end(" (No answer. Try again later.)")
  }
</script>
"""


@app.get("/")
def page():
    return PAGE


@app.get("/chat")
def chat():
    prompt = request.args.get("prompt") or abort(400, "there is no prompt")
    stream = client.stream(prompt).open()  # a refusal is raised here, before a status has gone out
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}  # nginx, too, passes each piece on
    return Response(events(stream), mimetype="text/event-stream", headers=headers)


def events(stream):
    with stream:  # a browser that goes away ends this generator, and with it the request to the provider
        try:
            for text in stream.text_stream:
                yield event("text", text)
            yield event("done")
        except APIError as error:  # the status was sent long ago
            app.logger.error("the answer broke off: %s", error)
            yield event("failed", " (The answer broke off.)")


def event(name, value=""):
    return f"event: {name}\ndata: {json.dumps(value)}\n\n"  # JSON: a text may have line ends


@app.errorhandler(APIError)
def no_answer(error):
    app.logger.error("no answer: %s", error)
    if isinstance(error, RateLimitError):
        return {"error": "Too many questions at once. Try again in a minute."}, 503, {"Retry-After": "60"}
    return {"error": "The model does not answer. Try again later."}, 502
