"""How many look for something at once."""

from types import SimpleNamespace

import pytest
from kmodci.bot.searching import search
from kmodci.errors import KmodciError, NotFound
from twisted.internet import defer


def test_one_looks_after_the_other_and_too_many_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[defer.Deferred[str]] = []

    def in_thread(work: object, *arguments: object) -> defer.Deferred[str]:
        begun.append(defer.Deferred())
        return begun[-1]

    monkeypatch.setattr("kmodci.bot.searching.threads", SimpleNamespace(deferToThread=in_thread))
    found: list[object] = []
    for _ in range(40):
        defer.ensureDeferred(search(str)).addBoth(found.append)
    assert len(begun) == 1
    assert len(found) == 23 and all(isinstance(each.value, KmodciError) for each in found)  # type: ignore[attr-defined] # Failures
    found.clear()
    begun[0].errback(NotFound("there is none"))
    assert isinstance(found[0].value, NotFound)  # type: ignore[attr-defined] # as above
    while len(found) < 17:
        begun[-1].callback("it")
    assert found[1:] == ["it"] * 16 and len(begun) == 17
