"""Tokens: what is kept of them, and who has one."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kmodci.errors import KmodciError, NotFound, StoreError
from kmodci.release import BadName
from kmodci.tokens import PREFIX, May, Tokens


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path / "state" / "tokens.json")


def test_one_is_shown_once_and_its_hash_is_kept(tokens: Tokens) -> None:
    secret = tokens.add("node", May.BUILD, 5.0)
    assert secret.startswith(PREFIX) and len(secret) == len(PREFIX) + 43
    kept = tokens.path.read_text()
    assert secret not in kept and secret.removeprefix(PREFIX) not in kept
    assert tokens.path.stat().st_mode & 0o777 == 0o600
    found = tokens.find(secret)
    assert found and (found.name, found.may, found.created) == ("node", May.BUILD, 5.0)
    for wrong in ("", secret[:-1], f"{secret} ", secret.upper(), found.sha256, "\udcff", "x" * 10_000):
        assert tokens.find(wrong) is None


def test_they_are_read_again_when_they_change(tokens: Tokens) -> None:
    assert tokens.all() == ()
    other = Tokens(tokens.path)
    one, two = other.add("one", May.READ, 1.0), other.add("two", May.BUILD, 2.0)
    assert [tokens.find(each) is not None for each in (one, two)] == [True, True]
    other.remove("one")
    assert [tokens.find(each) is not None for each in (one, two)] == [False, True]
    tokens.path.unlink()
    assert tokens.find(two) is None


def test_names_are_given_once(tokens: Tokens) -> None:
    tokens.add("node", May.BUILD, 1.0)
    with pytest.raises(KmodciError, match="there is a token node"):
        tokens.add("node", May.READ, 1.0)
    with pytest.raises(BadName):
        tokens.add("../node", May.READ, 1.0)
    with pytest.raises(NotFound) as refused:
        tokens.remove("nodes")
    assert "node" in refused.value.hint


def test_none_is_lost_of_those_that_are_made_at_once(tokens: Tokens) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: Tokens(tokens.path).add(f"n{n}", May.READ, 1.0), range(24)))
    assert all(tokens.find(each) for each in made) and len(tokens.all()) == 24
    assert [path.name for path in tokens.path.parent.iterdir()] == ["tokens.json"]


@pytest.mark.parametrize("content", ["", "{", '{"tokens": [{"name": "verysecret"}]}', "\x00"])
def test_what_is_no_file_of_tokens_is_told_without_its_words(tokens: Tokens, content: str) -> None:
    tokens.path.parent.mkdir()
    tokens.path.write_text(content)
    for ask in (tokens.all, lambda: tokens.add("a", May.READ, 1.0), lambda: tokens.find("x")):
        with pytest.raises(StoreError) as refused:
            ask()
        assert "verysecret" not in str(refused.value) and str(tokens.path) in str(refused.value)
    assert tokens.path.read_text() == content


def test_what_a_newer_version_adds_does_not_keep_it_from_being_read(tokens: Tokens) -> None:
    secret = tokens.add("node", May.BUILD, 1.0)
    kept = json.loads(tokens.path.read_text())
    kept["tokens"][0]["until"] = 5
    tokens.path.write_text(json.dumps({**kept, "more": 1}))
    assert tokens.find(secret)
