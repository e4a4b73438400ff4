"""What several ask for at once."""

import pytest
from kmodci.bot.api.together import Together
from twisted.internet import defer


def test_the_same_is_done_once_and_told_to_all() -> None:
    together, done = Together[str](), list[defer.Deferred[str]]()

    def work() -> defer.Deferred[str]:
        done.append(defer.Deferred())
        return done[-1]

    asked = [defer.ensureDeferred(together.run(key, work)) for key in ("a", "a", "b", "a")]
    assert len(done) == 2
    found: list[object] = []
    for each in asked:
        each.addBoth(found.append)
    done[0].callback("of a")
    assert found == ["of a"] * 3
    done[1].errback(ValueError("of b"))
    assert isinstance(found[3].value, ValueError)  # type: ignore[attr-defined] # a Failure
    # whoever comes later is told how it is then
    again = defer.ensureDeferred(together.run("a", work))
    assert len(done) == 3 and not again.called
    done[2].callback("later")


def test_what_fails_fails_for_all() -> None:
    together, gate = Together[str](), defer.Deferred[str]()
    asked = [defer.ensureDeferred(together.run("a", lambda: gate)) for _ in range(3)]
    gate.errback(ValueError("it is away"))
    for each in asked:
        told: list[object] = []
        each.addErrback(lambda failure, told=told: told.append(failure.value))
        with pytest.raises(ValueError, match="it is away"):
            raise told[0]  # type: ignore[misc] # an exception
