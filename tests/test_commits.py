from typing import Any

import pytest
from kmodci.commits import is_to_be_told, of_commit, repository_of
from kmodci.model import ModuleVersion, Status
from support.standings import standing

COMMIT = "c" * 40


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/owner/some.name",
        "https://github.com/owner/some.name.git",
        "https://github.com/owner/some.name/",
        "http://www.github.com/owner/some.name.git/",
        "ssh://git@github.com/owner/some.name.git",
        "ssh://git@github.com:22/owner/some.name.git",
        "git@github.com:owner/some.name.git",
        "git://github.com/owner/some.name",
    ],
)
def test_a_repository_on_github(url: str) -> None:
    assert repository_of(url, "github.com") == "owner/some.name"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://example.org/owner/name",
        "https://github.com.example.org/owner/name",
        "https://example.org/github.com/owner/name",
        "https://github.com/owner",
        "https://github.com/owner/name/more",
        "https://github.com/owner/..",
        "https://github.com/owner/../../user",
        "https://github.com/owner/na%2fme",
        "https://github.com/ow ner/name?x",
        "file:///srv/github.com/owner/name",
        "/srv/owner/name",
    ],
)
def test_no_repository_on_github(url: str) -> None:
    assert repository_of(url, "github.com") == ""


def commit(*status: Status, open_modules: tuple[str, ...] = (), url: str = "https://github.com/a/b") -> Any:
    module = ModuleVersion(module="loop", version="1", origin="", fetch={"git": url, "commit": COMMIT})
    builds = [standing(number, each) for number, each in enumerate(status)]
    return of_commit(module, builds, host="github.com", open_modules=open_modules, url="http://farm")


def test_how_a_commit_stands() -> None:
    built, failed, skipped, gone, pending = (
        Status.BUILT,
        Status.FAILED,
        Status.SKIPPED,
        Status.UNAVAILABLE,
        Status.PENDING,
    )
    told = {
        (built,): ("success", "built for 1 of 1 kernel"),
        (built, built, skipped): ("success", "built for 2 of 2 kernels"),
        (built, gone): ("success", "built for 1 of 2 kernels"),
        (built, failed, gone): ("failure", "fails for 1 kernel, built for 1 of 3"),
        (built, failed, pending): ("failure", "fails for 1 kernel, built for 1 of 3"),
        (built, pending): ("pending", "to be built for 1 kernel"),
        (pending, pending, gone): ("pending", "to be built for 2 kernels"),
    }
    for status, expected in told.items():
        news = commit(*status)
        assert (news.state, news.words) == expected
        assert (news.repository, news.commit, news.host) == ("a/b", COMMIT, "github.com")
    assert commit(pending, built, open_modules=("loop",)).state == "pending"
    assert commit(skipped, gone) is None
    assert commit() is None
    assert commit(built, url="https://example.org/a/b") is None


def test_a_commit_is_told_when_it_changes_and_pending_once() -> None:
    pending = commit(Status.PENDING, open_modules=("loop",))
    good, bad = commit(Status.BUILT), commit(Status.FAILED)
    assert is_to_be_told(pending, None)
    assert not is_to_be_told(pending, pending)
    assert is_to_be_told(good, pending)
    assert not is_to_be_told(good, good)
    assert is_to_be_told(bad, good)
    assert not is_to_be_told(pending, bad), "a kernel more does not take back what is known"
    other = good.model_copy(update={"commit": "d" * 40})
    assert is_to_be_told(other, good)
