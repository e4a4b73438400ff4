import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.errors import IndexDamaged
from kmodci.repos import jsonlist
from kmodci.repos.jsonlist import items_of


def items(text: bytes, *wanted: str) -> list[object]:
    return list(items_of(pieces(text, 1 << 18), lambda key: key in wanted))


def pieces(text: bytes, size: int) -> Iterator[bytes]:
    return (text[at : at + size] for at in range(0, len(text), size))


def test_the_items_of_the_lists_that_are_wanted() -> None:
    text = b'{"a": [{"x": [true, {"y": null}]}, [], {}], "b": {"c": [2]}, "c": [[3]], "x": "a", "z": [[4]], "a": [[5]]}'
    assert items(text, "a") == [{"x": [True, {"y": None}]}, [], {}, [5]]
    assert items(text, "c", "z") == [[3], [4]]
    assert items(text) == items(b" \n{}\n", "a") == items(b'{"a": []}', "a") == items(b'{"a": 3}', "a") == []


def test_what_is_none_of_these_is_an_item_as_text() -> None:
    assert items(b'{"a": [1, {}, "x ]", null, {"b" 2}, [], 3 ]}', "a") == ["1", {}, '"x ]", null', '{"b" 2}', [], "3"]
    assert items(b'{"a": [{"b": "\xff"}, {"b": ' + b"1" * 5000 + b"}, {}]}", "a")[-1] == {}


plain = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8) | st.sampled_from('"\\{}[]:,')
values = st.lists(plain, max_size=3) | st.dictionaries(st.text(max_size=8), plain | st.lists(plain), max_size=3)


@given(
    document=st.dictionaries(st.sampled_from('ab"\\'), st.lists(values, max_size=4)),
    size=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    is_ascii=st.booleans(),
)
def test_it_is_what_python_reads(
    document: dict[str, list[object]], size: int, indent: int | None, is_ascii: bool
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=is_ascii).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonlist, "_PIECE", size)
        found = list(items_of(pieces(text, size), lambda key: key in 'a"'))
    assert found == [item for key in document if key in 'a"' for item in document[key]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"<html><style>p {color: red}</style>down for maintenance</html>", "not JSON .*<html>"),
        (b"", "breaks off"),
        (b"   ", "breaks off"),
        (b'{"a": [{}', "breaks off"),
        (b'{"a": [{}]', "breaks off"),
        (b'{"a": [{"b": "]}', "breaks off"),
        (b'{"a": [{}]}{}', "more than one document"),
        (b'{"a": [{}}', "where none should be"),
        (b'{"z": {}]', "where none should be"),
        (b"{}]", "where none should be"),
        (b"[]", "it begins with"),
        (b'"a"', "it begins with"),
        (b"null", "it begins with"),
        (b'\xef\xbb\xbf{"a": []}', "it begins with"),
        (b'{"a": {"b": []}}', "no list"),
        (b'{"a": ' + b"[" * 1_000_000, "brackets deep"),
        (b'{"z": ' + b'{"z":' * 1_000_000, "brackets deep"),
        (b'{"z": ["' + b"x" * (18 << 20) + b'"]}', "more than 16777216 bytes"),
        (b'{"a": [' + b"x" * (18 << 20) + b"]}", "more than 16777216 bytes"),
    ],
)
def test_what_is_no_such_document(text: bytes, told: str) -> None:
    with pytest.raises(IndexDamaged, match=told) as caught:
        items(text, "a")
    assert len(caught.value.brief) < 200
    assert caught.value.brief.isprintable()


@pytest.mark.slow
def test_a_document_that_would_take_minutes() -> None:
    with pytest.raises(IndexDamaged, match="more than 2000000 texts and brackets"):
        items(b'{"z": [' + b"[]," * 1_000_000 + b"[]]}")


def test_what_is_not_wanted_is_not_held() -> None:
    entry = b'{"kernelconfigdata": "' + b"x" * (200 << 10) + b'"},'
    parts = (b'{"flatcar": [', *[entry] * 200, b'{}], "debian": [{"b": 2}]}')
    tracemalloc.start()
    try:
        assert list(items_of(iter(parts), lambda key: key == "debian")) == [{"b": 2}]
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
