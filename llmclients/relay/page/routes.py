"""`Page`: the page's addresses. `GET /` is the document; what is below `/page/` is for its script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from llmclients.errors import InvalidRequestError
from llmclients.history import History
from llmclients.relay.codecs.estimate import estimated_tokens
from llmclients.relay.endpoints import Relay
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.page.answers import Answers, RunningAnswer
from llmclients.relay.page.asking import Begun, Question, begin, read_question
from llmclients.relay.page.document import document
from llmclients.relay.page.endpoint import Handler, PageEndpoint, PageRequest, check_shown, encode_event
from llmclients.relay.page.store import PageStore, turn_fields
from llmclients.relay.upstream import Leeway

__all__ = ["Page"]

_PAGE = 60  # turns
_MAX_TURNS = 10_000
_MAX_CONVERSATIONS = 200
_MAX_HITS = 200
_SHOWN_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


class Page:
    """The page of one relay.

    Args:
        relay: what it stands in front of.
        history: where conversations are kept, the caller's to close; True: the user's.

    Raises:
        ConfigurationError: it is something else.
    """

    def __init__(self, relay: Relay, history: History | Literal[True] = True) -> None:
        self._relay = relay
        self._store = PageStore(history)
        self._answers = Answers(relay.upstream, self._store)

    def routes(self) -> Iterator[Route]:
        """All of its addresses."""
        yield Route("/", self._document, methods=["GET"])
        for method, path, handler in (
            ("GET", "about", self._about),
            ("GET", "models", self._models),
            ("GET", "conversations", self._list),
            ("GET", "conversations/{id}", self._read),
            ("GET", "conversations/{id}/cost", self._cost),
            ("GET", "conversations/{id}/export", self._export),
            ("POST", "conversations/{id}/rename", self._rename),
            ("POST", "conversations/{id}/delete", self._delete),
            ("POST", "turns/{turn}/show", self._show),
            ("GET", "blobs/{hash}", self._blob),
            ("POST", "ask", self._ask),
            ("GET", "answers/{turn}", self._follow),
            ("POST", "answers/{turn}/stop", self._stop),
        ):
            yield self._route(method, path, handler)

    async def close(self) -> None:
        """Stop what is being written, store its end, and close the history."""
        await self._answers.stop_all("the relay was stopped")
        await self._store.use(self._store.close)

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        return Route(f"/page/{path}", PageEndpoint(self._relay, handler), methods=[method])

    async def _document(self, request: Request) -> Response:
        try:
            check_shown(self._relay.accounts)
        except RequestRejected as error:
            return PlainTextResponse(f"{error.failure.message}\n", error.failure.status)
        return await document(request)

    # --- what the relay has -------------------------------------------------------------------------------------------

    async def _about(self, request: PageRequest) -> None:
        is_kept = await self._store.use(lambda: self._store.history.path is not None)
        await request.reply({"provider": self._relay.upstream.provider_of(""), "is_kept": is_kept})

    async def _models(self, request: PageRequest) -> None:
        upstream = self._relay.upstream
        names = await upstream.models()
        await request.reply({"models": [{"name": name, "provider": upstream.provider_of(name)} for name in names]})

    # --- conversations ------------------------------------------------------------------------------------------------

    async def _list(self, request: PageRequest) -> None:
        limit = min(request.query_number("limit") or 50, _MAX_CONVERSATIONS)
        before, search = request.query("before"), request.query("search")

        def find() -> dict[str, Any]:
            history = self._store.history
            found = history.conversations(limit, before=before, search=search)
            hits: dict[str, Any] = {}
            for hit in history.search(search, _MAX_HITS) if search else ():
                hits.setdefault(hit.conversation, {"turn": hit.turn, "pieces": hit.pieces})
            return {"conversations": [conversation.to_dict() for conversation in found], "hits": hits}

        await request.reply(await self._store.use(find))

    async def _read(self, request: PageRequest) -> None:
        limit = min(request.query_number("limit") or _PAGE, _MAX_TURNS)
        before, back_to = request.query_number("before"), request.query_number("to")
        name = request.named("id")

        def read() -> tuple[dict[str, Any], list[dict[str, Any]]]:
            history = self._store.history
            conversation = history.conversation(name)
            count = limit
            if back_to is not None:  # as far back as this turn, and a little further
                count = min(max(count, conversation.length - history.turn(back_to).number + 5), _MAX_TURNS)
            turns = history.turns(conversation, limit=count, before=before)
            return conversation.to_dict(), list(map(turn_fields, turns))

        conversation, turns = await self._store.use(read)
        streaming = [turn["id"] for turn in turns if turn["state"] == "streaming"]
        running = [turn for turn in streaming if self._answers.find(turn) is not None]
        await request.reply({"conversation": conversation, "turns": turns, "running": running})

    async def _cost(self, request: PageRequest) -> None:
        cost = await self._store.use(lambda: self._store.history.cost(request.named("id")))
        await request.reply({**cost._asdict(), "usage": cost.usage.model_dump(exclude_none=True)})

    async def _export(self, request: PageRequest) -> None:
        kind, name = request.query("format"), request.named("id")
        if kind not in ("jsonl", "markdown"):
            raise InvalidRequestError("format must be jsonl or markdown", argument="format")

        def export() -> str:
            history = self._store.history
            if kind == "markdown":
                return history.export_markdown(name)
            return "".join(f"{line}\n" for line in history.export_jsonl(name))

        text = await self._store.use(export)
        content_type = "text/markdown; charset=utf-8" if kind == "markdown" else "application/x-ndjson"
        await request.reply_with(content_type, text.encode("utf-8", "replace"), ("content-disposition", "attachment"))

    async def _rename(self, request: PageRequest) -> None:
        title, name = request.text("title"), request.named("id")
        renamed = await self._store.use(lambda: self._store.history.rename(name, title))
        await request.reply({"conversation": renamed.to_dict()})

    async def _delete(self, request: PageRequest) -> None:
        name = request.named("id")
        await self._answers.stop_all("its conversation was deleted", name)
        await self._store.use(lambda: self._store.history.delete(name))
        await request.reply({})

    async def _show(self, request: PageRequest) -> None:
        turn = request.number("turn")
        shown = await self._store.use(lambda: self._store.history.show_branch(turn))
        await request.reply({"conversation": shown.to_dict()})

    async def _blob(self, request: PageRequest) -> None:
        name = request.named("hash")
        blob = await self._store.use(lambda: self._store.history.blob(name))
        # Nothing that a browser would run, if somebody opened it as a page of its own.
        content_type = blob.media_type if blob.media_type in _SHOWN_TYPES else "application/octet-stream"
        await request.reply_with(content_type, blob.data, ("content-security-policy", "default-src 'none'; sandbox"))

    # --- answers ------------------------------------------------------------------------------------------------------

    async def _ask(self, request: PageRequest) -> None:
        asked = await self._store.use(read_question, request.data)  # it may have images
        request.asks_for(asked.model)
        self._answers.check_room()
        # Nothing is sent yet; what cannot be is an error before anything is written down.
        probe = asked.probe()
        await self._store.use(self._relay.upstream.for_model(probe.model).stream, probe, Leeway(lenient=False))
        # Not cancelled half-way if the client leaves: what is written down is answered; until then, the request lasts.
        beginning = asyncio.ensure_future(self._begin(asked, request))
        try:
            begun, answer = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            await asyncio.gather(beginning, return_exceptions=True)
            raise
        await request.stream(_events(begun, answer))

    async def _begin(self, asked: Question, request: PageRequest) -> tuple[Begun, RunningAnswer]:
        def write_down() -> tuple[Begun, int]:
            begun = begin(self._store.history, asked)
            return begun, estimated_tokens(begun.call)

        begun, input_tokens = await self._store.use(write_down)
        charge = request.hand_on(self._relay.operations, input_tokens)
        return begun, self._answers.start(begun.conversation.id, begun.writer, begun.call, charge)

    async def _follow(self, request: PageRequest) -> None:
        await request.stream(self._running(request).follow())

    async def _stop(self, request: PageRequest) -> None:
        self._running(request).stop("stopped")
        await request.reply({})

    def _running(self, request: PageRequest) -> RunningAnswer:
        answer = self._answers.find(request.number("turn"))
        if answer is None:
            raise RequestRejected(Failure(404, "this answer is not being written here"))
        return answer


async def _events(begun: Begun, answer: RunningAnswer) -> AsyncGenerator[bytes, None]:
    question = None if begun.question is None else turn_fields(begun.question)
    fields = {"conversation": begun.conversation.to_dict(), "question": question, "answer": turn_fields(begun.answer)}
    yield encode_event({"type": "begun", **fields})
    async with aclosing(answer.follow()) as events:
        async for data in events:
            yield data
