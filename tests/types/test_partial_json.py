"""The reader of JSON that arrives in pieces: at each prefix what pydantic's own reader makes of it, in one pass."""

from __future__ import annotations

import random
import sys
from typing import Any

import pytest
from hypothesis import settings
from pydantic_core import from_json
from tables import table

from llmclients.types.partial_json import PartialJSON
from llmclients.types.strict_json import load_strict_json
from tests.types.json_documents import make_document, pieces, spoil

DOCUMENTS = settings().max_examples * 20
"""500 in `make test`, 10,000 in `make fuzz`."""


def has_trailing_strings() -> bool:
    try:
        return bool(from_json('["a', allow_partial="trailing-strings") == ["a"])
    except (TypeError, ValueError):
        return False


def partly(text: str) -> Any:
    """What pydantic's reader makes of a prefix; None, as ours, where it is too short for anything."""
    try:
        return from_json(text, allow_partial="trailing-strings")
    except ValueError as error:
        return None if "EOF" in str(error) else error


def read(text: str, size: int = 1, *, items_key: str | None = None) -> PartialJSON:
    reader = PartialJSON(items_key)
    for start in range(0, len(text), size):
        reader.feed(text[start : start + size])
    return reader


@pytest.mark.skipif(not has_trailing_strings(), reason="pydantic has it from 2.9 on")
@pytest.mark.hypothesis
def test_each_prefix_is_what_pydantic_s_reader_makes_of_it() -> None:
    for seed in range(DOCUMENTS):
        rng = random.Random(seed)
        document = make_document(rng)
        looked, reader, end = PartialJSON(), PartialJSON(), 0
        for piece in pieces(document, rng):
            for character in piece:
                looked.feed(character)
                end += 1
                assert repr(looked.value) == repr(partly(document[:end])), (seed, document[:end])
            reader.feed(piece)
            if rng.random() < 0.5:
                assert repr(reader.value) == repr(looked.value), (seed, document[:end])
        assert repr(reader.value) == repr(looked.value) == repr(from_json(document)), (seed, document)
        assert looked.is_complete or document.strip()[-1].isdigit()


@pytest.mark.hypothesis
def test_what_is_no_json_is_refused_wherever_it_is_cut() -> None:
    for seed in range(DOCUMENTS):
        rng = random.Random(seed)
        document = spoil(make_document(rng), rng)
        refusals = set()
        for size in (1, 3, 4, len(document) or 1):
            try:
                reader = read(document, size)
                refusals.add("" if reader.is_complete or type(reader.value) in (int, float) else "cut")
            except ValueError as error:
                refusals.add(str(error))
        try:
            load_strict_json(document)
            from_json(document)
            assert refusals == {""}, (seed, document)
        except ValueError:
            assert "" not in refusals, (seed, document, refusals)


@table(
    "text, message",
    [
        ("Here: {}", "'H' in place of a value at character 0"),
        ("```json\n{}", "'`' in place of a value at character 0"),
        ("\ufeff{}", "in place of a value at character 0"),
        ("{} {}", "'{' behind the JSON at character 3"),
        ("[1 2]", "'2' in place of a comma at character 3"),
        ("[1,]", "']' in place of a value at character 3"),
        ('{"a":1,}', "'}' in place of a key at character 7"),
        ('{"a"=1}', "'=' in place of ':' at character 4"),
        ("[1}", "an unexpected '}' at character 2"),
        ("[01]", "an invalid number: it ends at character 3"),
        ("[1.]", "an invalid number: it ends at character 3"),
        ("[1e999]", "1e999 is too large a number: it ends at character 6"),
        ("[NaN]", "'N' in place of a value"),
        ("[trux]", "in place of"),
        ('["a\nb"]', r"'\\n' inside a string at character 3"),
        (r'["\x"]', "an invalid escape 'x' at character 3"),
        (r'["\u00zz"]', "'z' inside an escape at character 6"),
        (r'["\ud83dx"]', "half of a surrogate pair"),
        (r'["\ud83d\n"]', "an invalid escape 'n'"),
        (r'["\ud83d\u0041"]', "half of a surrogate pair"),
        (r'["\ude00"]', "half of a surrogate pair"),
        ("[" * 201, "nested too deeply at character 200"),
    ],
)
def test_the_place_where_it_is_no_json_is_named(text: str, message: str) -> None:
    reader = PartialJSON()
    seen = ["None"]

    def feed() -> None:
        for character in text:
            reader.feed(character)
            seen.append(repr(reader.value))

    with pytest.raises(ValueError, match=message):
        feed()
    assert repr(reader.value) == seen[-1], "what had come stays"
    with pytest.raises(ValueError, match=message):
        reader.feed(" ")


def test_two_hundred_containers_are_read() -> None:
    for text in ("[" * 200 + "]" * 200, '{"a":' * 200 + "1" + "}" * 200):
        assert read(text).value == from_json(text)


def test_a_number_that_goes_on_is_taken_back_with_what_it_replaced() -> None:
    reader = PartialJSON()
    seen = []
    for character in '{"a":5,"a":1.5e1,"b":2.0}':
        reader.feed(character)
        seen.append(repr(reader.value))
    assert list(dict.fromkeys(seen)) == [
        *("{}", "{'a': 5}", "{'a': 1}", "{'a': 1.5}", "{'a': 15.0}", "{'a': 15.0, 'b': 2}", "{'a': 15.0, 'b': 2.0}"),
    ]
    assert seen[12:13] == ["{'a': 5}"], "behind the point it is no number yet"


def test_a_number_too_long_to_be_looked_at_often_comes_at_its_end() -> None:
    reader = PartialJSON()
    reader.feed("[")
    for digit in "0." + "0" * 600 + "1":
        reader.feed(digit)
        assert len(reader.value) <= 1
    assert reader.value == []
    reader.feed("]")
    assert reader.value == [float("0." + "0" * 600 + "1")]


def test_the_tree_stays_the_same_and_grows() -> None:
    reader = PartialJSON()
    reader.feed('{"lines": [{"what": "ca')
    tree = reader.value
    line = tree["lines"][0]
    assert line == {"what": "ca"}
    reader.feed('fé"}, {"wh')
    assert reader.value is tree
    assert tree["lines"][0] is line
    assert tree == {"lines": [{"what": "café"}, {}]}


def test_a_string_that_somebody_keeps_does_not_change() -> None:
    reader = PartialJSON()
    reader.feed('["ab')
    kept = reader.value[0]
    reader.feed('cd"]')
    assert (kept, reader.value) == ("ab", ["abcd"])


@table("size", [1, 2, 5, 100])
@table(
    "text, items",
    [
        ('{"value": [1, "a,]", {"b": [2, 3]}, [4] ,null]}', ["1", '"a,]"', '{"b": [2, 3]}', "[4]", "null"]),
        ('[{"a": 1},2]', ['{"a": 1}', "2"]),
        ('{"other": [1], "inner": {"value": [2]}, "value": []}', []),
        ('{"value": {"value": [1]}}', []),
        ("[[1, 2]]", ["[1, 2]"]),
        ("1", []),
    ],
)
def test_the_items_of_the_list_are_noted_where_they_end(text: str, items: list[str], size: int) -> None:
    reader = read(text, size, items_key="value")
    found, start = [], reader.items_begin
    for end in reader.item_ends:
        found.append(text[start:end].lstrip(" ,"))
        start = end
    assert found == items


def test_an_item_is_noted_with_its_last_character() -> None:
    reader = PartialJSON("value")
    noted, so_far = [], ""
    for character in '{"value":[{},"a",[],12,true]}':
        reader.feed(character)
        so_far += character
        if len(reader.item_ends) > len(noted):
            noted.append(so_far)
    ends = ["[{}", '[{},"a"', '"a",[]', "[],12,", "12,true"]  # a number's end is what comes behind it
    assert [text.endswith(end) for text, end in zip(noted, ends, strict=True)] == [True] * 5


def test_a_list_that_comes_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="a second 'value' at character 20"):
        read('{"value":[],"value":[1]}', items_key="value")


def work(text: str) -> int:
    """How many lines of the reader run while it takes the text in pieces of four, and is looked at after each."""
    count = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        if not frame.f_globals.get("__name__", "").startswith("llmclients.types.partial_"):
            return None
        count += event == "line"
        return trace

    reader = PartialJSON("value")
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for start in range(0, len(text), 4):
            reader.feed(text[start : start + 4])
            assert reader.value is not None or start < 8
    finally:
        sys.settrace(before)
    return count


@pytest.mark.long
@table("unit", ["[],{},", '{"a":12.5,"b":"c\\u00e9"},', "1,", '"a",', '"a long text of its own, of many pieces",'])
def test_the_work_grows_with_the_text_and_no_faster(unit: str) -> None:
    few, many = (work('{"value":[' + unit * count) for count in (100, 800))
    assert many < 8.1 * few
    assert few < 80 * (len(unit) * 100 / 4), "lines for a piece of four characters"


@pytest.mark.skipif(sys.gettrace() is not None, reason="an interpreter that traces lengthens no string in place")
def test_a_long_string_is_not_copied_at_each_piece() -> None:
    """A copy of each would be a new object, each time at another place or of another size."""
    reader = PartialJSON()
    reader.feed('{"a":"')
    moved = 0
    before = None
    for _ in range(50_000):
        reader.feed("abcd")
        place = id(reader.value["a"])
        moved += place != before
        before = place
    assert reader.value == {"a": "abcd" * 50_000}
    assert moved < 2_500
