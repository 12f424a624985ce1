"""The page's addresses without a browser: the document, who may use them, conversations, answers that go on."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pagetools import PIXEL, ask, events, get, post
from relaytools import SlowProvider, relay_over, send
from scripted import Scripted, failing, scripted_relay

from llmclients import AsyncClient
from llmclients.errors import ConfigurationError
from llmclients.history import History, StoredError
from llmclients.relay import RelayConfig, RelayServer, create_app
from llmclients.relay.page.document import policy, read_document
from llmclients.types.response import ChatResponse, Chunk
from llmclients.types.usage import Usage

ONE = (Chunk(text="On"), Chunk(text="e."), Chunk(finish_reason="stop", usage=Usage(input_tokens=3, output_tokens=2)))


@pytest.fixture
def kept() -> Iterator[History]:
    with History.in_memory() as history:
        yield history


@pytest.fixture
def scripted(kept: History) -> Iterator[tuple[str, Scripted]]:
    with scripted_relay(page=kept) as (url, script):
        script.streams(*ONE)
        yield url, script


def the_conversation(history: History) -> Any:
    (found,) = history.conversations()
    return found


def until(what: Any) -> Any:
    """Wait for something that a thread of the relay does."""
    deadline = time.monotonic() + 5
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


# --- the document -----------------------------------------------------------------------------------------------------


def test_the_document_is_one_small_file_that_loads_nothing() -> None:
    text = read_document()

    assert len(text.encode()) <= 60_000
    assert text.count("<script") == text.count("<style") == 1
    assert not re.search(r"(src|href|action)=[\"'](?!#|data:,)", text)
    assert not re.search(r"url\(|@import|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function", text)
    assert not re.search(r"<[a-z][^>]* (style|on[a-z]+)=", text)


def test_the_policy_names_the_script_and_the_style_and_allows_nothing_else(scripted: tuple[str, Scripted]) -> None:
    url, _ = scripted
    answer = send(url, "/", method="GET")
    found = dict(rule.partition(" ")[::2] for rule in answer.headers["content-security-policy"].split("; "))

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.raw.decode() == read_document()
    assert found["default-src"] == "'none'"
    assert found["require-trusted-types-for"] == "'script'"
    assert found["connect-src"] == "'self'"
    assert found["frame-ancestors"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", found["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/]{43}='", found["style-src"])
    assert policy(read_document().replace("use strict", "use Strict")) != policy(read_document())
    assert send(url, "/", method="HEAD").status == 200
    again = send(url, "/", headers={"If-None-Match": answer.headers["etag"]}, method="GET")
    assert (again.status, again.raw) == (304, b"")


def test_there_is_no_page_where_it_is_turned_off() -> None:
    with relay_over(page=False) as (relay, _):
        assert send(relay.url, "/", method="GET").status == 404
        assert send(relay.url, "/page/about", method="GET").status == 404
    with pytest.raises(ConfigurationError, match="page must be True, False or a History"):
        create_app(AsyncClient("openai/m", api_key="k"), page="yes")  # type: ignore[arg-type]


# --- who may ----------------------------------------------------------------------------------------------------------


def test_a_key_guards_all_but_the_empty_document(kept: History) -> None:
    with scripted_relay(page=kept, api_key="open-sesame") as (url, _):
        assert send(url, "/", method="GET").status == 200
        for path in ("about", "models", "conversations", "conversations/x", "blobs/x", "answers/1"):
            assert send(url, f"/page/{path}", method="GET").status == 401
        for path in ("ask", "conversations/x/delete", "conversations/x/rename", "turns/1/show", "answers/1/stop"):
            assert send(url, f"/page/{path}", {}).status == 401
        assert get(url, "about", Authorization="Bearer open-sesame") == {"provider": "scripted", "is_kept": False}


async def test_there_is_no_page_where_another_configuration_gives_clients_keys_of_their_own() -> None:
    app = create_app(RelayConfig.from_dict({"default": "yqcloud"}))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        assert (await client.get("/")).status_code == 200
        keys = {"alice": {"key": "sesame"}, "bob": {"key": "seed"}}
        await app.state.reload(RelayConfig.from_dict({"default": "yqcloud", "keys": keys}))
        for path in ("/", "/page/conversations", "/page/models"):
            answer = await client.get(path, headers={"x-api-key": "sesame"})
            assert (answer.status_code, "keys of their own" in answer.text) == (404, True), path
        assert (await client.get("/v1/models", headers={"x-api-key": "seed"})).status_code == 200


def test_other_sites_pages_get_nothing(scripted: tuple[str, Scripted], kept: History) -> None:
    url, _ = scripted
    kept.start(title="Private")
    host = url.removeprefix("http://")
    other = host.rpartition(":")[0] + ":1"

    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": f"http://{other}"},  # another server of this machine
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Host": "evil.example"},  # a name that was made to point here
    ):
        answers = [send(url, "/page/conversations", headers=headers, method="GET"), send(url, "/page/ask", {}, headers)]
        assert [answer.status for answer in answers] == [403, 403], headers
        assert not any(b"Private" in answer.raw for answer in answers)
    assert send(url, "/page/ask", {"text": "Hi"}, {"Content-Type": "text/plain"}).status == 415  # what a form can send
    for headers in ({"Origin": url}, {"Origin": "https://proxy.example", "Sec-Fetch-Site": "same-origin"}):
        assert send(url, "/page/about", headers=headers, method="GET").status == 200


# --- conversations ----------------------------------------------------------------------------------------------------


def test_a_question_and_its_answer_are_kept_while_they_stream(scripted: tuple[str, Scripted], kept: History) -> None:
    url, script = scripted
    begun, *deltas, end = ask(url, "One?", system="Be brief.", model="s-2", options={"temperature": 0.5, "top_k": 3})

    assert begun["question"]["text"] == "One?"
    assert begun["answer"]["state"] == "streaming"
    assert "".join(delta["text"] for delta in deltas) == "One."
    assert end["turn"]["text"] == "One."
    assert end["turn"]["state"] == "complete"
    assert end["turn"]["usage"] == {"input_tokens": 3, "output_tokens": 2}
    assert [message["content"] for message in script.asked["messages"]] == ["Be brief.", "One?"]
    assert (script.asked["model"], script.asked["temperature"], script.codec_options["top_k"]) == ("s-2", 0.5, 3)
    conversation = the_conversation(kept)
    assert (conversation.source, conversation.title, conversation.system) == ("page", "One?", "Be brief.")
    assert [(turn.role, turn.text) for turn in kept.turns(conversation)] == [("user", "One?"), ("assistant", "One.")]

    ask(url, "Two?", conversation=conversation.id, parent=end["turn"]["id"], system="")
    assert [message["content"] for message in script.asked["messages"]] == ["One?", "One.", "Two?"]
    cost = get(url, f"conversations/{conversation.id}/cost")
    assert (cost["answers"], cost["usage"]["output_tokens"], cost["dollars"]) == (2, 4, None)


def test_retry_and_edit_are_branches(scripted: tuple[str, Scripted], kept: History) -> None:
    url, script = scripted
    first = ask(url, "One?")
    name, question, answer = first[0]["conversation"]["id"], first[0]["question"]["id"], first[-1]["turn"]["id"]

    retried = ask(url, conversation=name, parent=question)
    assert retried[0]["question"] is None
    assert retried[-1]["turn"]["siblings"] == [answer, retried[-1]["turn"]["id"]]
    edited = ask(url, "1?", conversation=name)  # another question before anything
    assert edited[0]["question"]["siblings"] == [question, edited[0]["question"]["id"]]
    assert [message["content"] for message in script.asked["messages"]] == ["1?"]

    post(url, f"turns/{answer}/show")
    assert [turn["id"] for turn in get(url, f"conversations/{name}")["turns"]] == [question, answer]


def test_conversations_are_listed_searched_renamed_exported_and_deleted(
    scripted: tuple[str, Scripted], kept: History
) -> None:
    url, _ = scripted
    for title in ("Rivers", "Hills"):
        kept.add(kept.start(title=title), f"About {title.lower()}.")
    hills, rivers = get(url, "conversations")["conversations"]
    assert [hills["title"], rivers["title"]] == ["Hills", "Rivers"]
    assert get(url, f"conversations?limit=1&before={hills['id']}")["conversations"] == [rivers]
    found = get(url, "conversations?search=about+riv")
    assert [one["id"] for one in found["conversations"]] == [rivers["id"]]
    assert found["hits"][rivers["id"]]["pieces"] == [["About", True], [" ", False], ["rivers", True], [".", False]]

    assert (
        post(url, f"conversations/{hills['id']}/rename", {"title": " The  Alps "})["conversation"]["title"]
        == "The Alps"
    )
    path = f"/page/conversations/{hills['id']}/export?format="
    assert send(url, f"{path}markdown", method="GET").raw.startswith(b"# The Alps\n")
    assert send(url, f"{path}jsonl", method="GET").raw.count(b"\n") == 2
    post(url, f"conversations/{hills['id']}/delete")
    assert [one["title"] for one in get(url, "conversations")["conversations"]] == ["Rivers"]
    for path, status in (
        (f"conversations/{hills['id']}", 404),
        ("turns/99/show", 404),
        ("turns/x/show", 404),
        ("blobs/none", 404),
        (f"conversations/{rivers['id']}/export?format=doc", 400),
        (f"conversations/{rivers['id']}?before=x", 400),
    ):
        method = "POST" if path.endswith("show") else "GET"
        assert send(url, f"/page/{path}", {} if method == "POST" else None, method=method).status == status, path


def test_a_long_conversation_is_read_from_its_end(scripted: tuple[str, Scripted], kept: History) -> None:
    url, _ = scripted
    conversation = kept.start(title="Long")
    ids = [kept.add(conversation, f"Message {number}.").id for number in range(200)]

    def read(query: str = "") -> list[int]:
        return [turn["id"] for turn in get(url, f"conversations/{conversation.id}{query}")["turns"]]

    assert read() == ids[-60:]
    assert read(f"?limit=10&before={ids[50]}") == ids[40:50]
    assert read(f"?to={ids[100]}") == ids[95:]


def test_images_are_sent_and_kept(scripted: tuple[str, Scripted]) -> None:
    url, script = scripted
    turn = ask(url, "What is it?", images=[PIXEL])[0]["question"]
    image = next(part for part in turn["parts"] if part["type"] == "image")
    answer = send(url, f"/page/blobs/{image['blob']}", method="GET")

    assert [part["type"] for part in script.asked["messages"][0]["content"]] == ["image", "text"]
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"].endswith("sandbox")
    assert answer.raw.startswith(b"\x89PNG")


def test_what_cannot_be_sent_is_an_error_and_leaves_nothing_behind(
    scripted: tuple[str, Scripted], kept: History
) -> None:
    url, _ = scripted
    for members, named in (
        ({}, "text"),
        ({"text": " "}, "text"),
        ({"text": "Hi", "parent": 1}, "parent"),
        ({"text": "Hi", "parent": True, "conversation": "x"}, "parent"),
        ({"text": "Hi", "colour": "red"}, "colour"),
        ({"text": "Hi", "images": ["https://example.org/a.png"]}, "images"),
        ({"text": "Hi", "images": ["data:image/png;base64,!"]}, "images"),
        ({"text": "Hi", "options": {"temprature": 1}}, "temprature"),
        ({"text": "Hi", "options": {"temperature": "hot"}}, "temperature"),
        ({"text": "Hi", "options": {"headers": {"x": "y"}}}, "headers"),
        ({"text": "Hi", "options": {"run_tools": True}}, "run_tools"),
        ({"text": "Hi", "model": "m" * 257}, "model"),
    ):
        answer = send(url, "/page/ask", members)
        assert (answer.status, answer.json["error"]["param"]) == (400, named), answer.raw
    assert send(url, "/page/ask", {"text": "Hi", "conversation": "none"}).status == 404
    assert kept.conversations() == []


# --- answers ----------------------------------------------------------------------------------------------------------


def test_a_broken_stream_is_kept_as_broken(scripted: tuple[str, Scripted], kept: History) -> None:
    url, script = scripted
    script.answer = [Chunk(text="On"), failing(503, "too many people")]
    end = ask(url, "One?")[-1]["turn"]

    assert (end["text"], end["state"], end["error"]["kind"]) == ("On", "broken", "InternalServerError")
    assert "too many people" in end["error"]["message"]
    script.answer = ChatResponse(text="no stream")
    assert ask(url, "One?")[-1]["turn"]["state"] == "broken"


def test_an_answer_goes_on_when_the_tab_is_closed_and_any_tab_may_follow_it(kept: History) -> None:
    with SlowProvider() as provider:
        client = AsyncClient("openai/m", base_url=provider.base_url, api_key="k", retry=None)
        with RelayServer(client, page=kept) as relay:
            with events(relay.url, "ask", {"text": "Count."}) as found:
                turn = next(found)["answer"]["id"]
                provider.go()
                assert next(found)["text"] == "w1 "
            provider.go()
            until(lambda: kept.turn(turn).text == "w1 w2 ")  # stored before anybody sees it
            shown = send(relay.url, "/metrics", method="GET").raw
            assert b"open_streams 1.0\n" in shown
            assert b"open_requests 1.0\n" in shown
            name = the_conversation(kept).id
            assert get(relay.url, f"conversations/{name}")["running"] == [turn]
            with events(relay.url, f"answers/{turn}") as one, events(relay.url, f"answers/{turn}") as other:
                for tab in (one, other):
                    assert next(tab)["text"] + next(tab)["text"] == "w1 w2 "
                post(relay.url, f"answers/{turn}/stop")
                ends = [next(tab)["turn"] for tab in (one, other)]
            assert ends[0] == ends[1]
            assert (ends[0]["text"], ends[0]["error"]) == ("w1 w2 ", {"kind": "Interrupted", "message": "stopped"})
            assert provider.left.wait(5)
            assert get(relay.url, f"conversations/{name}")["running"] == []
            assert send(relay.url, f"/page/answers/{turn}", method="GET").status == 404


def test_an_answer_is_a_call_like_others_to_the_operator(
    scripted: tuple[str, Scripted], kept: History, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "llmclients.relay")
    url, script = scripted

    def lines() -> list[str]:
        return [line for line in caplog.messages if "POST /page/ask" in line]

    ask(url, "One?", model="s-2")
    until(lambda: len(lines()) == 1)
    assert re.search(r" page s-2: HTTP 200, .*\(first byte .* s\), 3\+2 tokens, by scripted/s-2, complete$", lines()[0])
    script.answer = [Chunk(text="One, tw"), failing(503, "too many people")]
    ask(url, "x" * 400, model="s-2")
    until(lambda: len(lines()) == 2)
    assert re.search(r" 104\+1 tokens, by scripted/s-2, broken off, InternalServerError 503$", lines()[1])  # estimated
    assert send(url, "/page/ask", {"text": "Hi", "conversation": "none", "model": "s-2"}).status == 404
    until(lambda: len(lines()) == 3)
    assert "HTTP 404" in lines()[2]
    shown = send(url, "/metrics", method="GET").raw.decode()
    for line in (
        'requests_total{model="s-2",status="200",wire="page"} 2.0',
        'tokens_total{kind="input",model="s-2",wire="page"} 107.0',
        'first_byte_seconds_count{model="s-2",wire="page"} 3.0',
        "open_streams 0.0",
        "open_requests 0.0",
    ):
        assert f"\nllmclients_relay_{line}\n" in shown, line


@pytest.mark.parametrize("how", ["the relay stops", "its conversation is deleted"])
def test_an_answer_ends_with(how: str, kept: History) -> None:
    with SlowProvider() as provider:
        client = AsyncClient("openai/m", base_url=provider.base_url, api_key="k", retry=None)
        relay = RelayServer(client, page=kept).start()
        with events(relay.url, "ask", {"text": "Count."}) as found:
            turn = next(found)["answer"]["id"]
            provider.go()
            next(found)
            if how == "the relay stops":
                relay.stop()
                stored = kept.turn(turn)
                assert (stored.text, stored.error) == ("w1 ", StoredError("Interrupted", "the relay was stopped"))
            else:
                post(relay.url, f"conversations/{the_conversation(kept).id}/delete")
                assert next(found)["type"] == "end"
                assert kept.conversations() == []
        assert provider.left.wait(5)
        relay.stop()


def test_the_user_s_history_is_opened_when_the_page_is_used(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "history.db"
    monkeypatch.setenv("LLMCLIENTS_HISTORY", str(path))
    with scripted_relay() as (url, script):
        script.streams(*ONE)
        assert send(url, "/", method="GET").status == 200
        assert not path.exists()
        assert get(url, "about")["is_kept"]
        ask(url, "One?")
    with History.open() as history:
        assert the_conversation(history).title == "One?"
    path.write_text("no history " * 100)
    with scripted_relay() as (url, _):
        answer = send(url, "/page/conversations", method="GET")
    assert (answer.status, answer.json["error"]["code"]) == (500, "history_error")
    assert "is damaged" in answer.json["error"]["message"]
