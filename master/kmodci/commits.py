"""How the commits stand that modules are built from, for a host of git repositories. Decides, and does nothing."""

import re
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

from .coverage import Standing, tally
from .model import ModuleVersion, Status
from .news import CommitNews

_SCP = re.compile(r"[\w.-]+@(?P<host>[\w.-]+):(?P<path>[^/].*)")
_PATH = re.compile(r"/*(?P<repository>[A-Za-z0-9-]{1,100}/(?!\.{1,2}(?:$|\.git))[\w.-]{1,100}?)(?:\.git)?/*")


def repository_of(url: str, host: str) -> str:
    """`owner/name` of a git URL that is on this host; empty for any other."""
    scp = _SCP.fullmatch(url)
    found_host, path = (scp["host"], scp["path"]) if scp else (urlsplit(url).hostname or "", urlsplit(url).path)
    found = _PATH.fullmatch(path)
    return found["repository"] if found and found_host.removeprefix("www.") == host else ""


def of_commit(
    module: ModuleVersion, standing: Sequence[Standing], *, host: str, open_modules: Collection[str], url: str = ""
) -> CommitNews | None:
    """How the commit of a module stands; None if it has none there, or nothing is known of it yet.

    standing: of that module's builds; open_modules: those that an open run has still builds of; url: for who wants
    to know more. What is not built for want of its headers is no fault of the commit's. One that no build fails for
    is good when all have ended, and not while some wait: for their turn, an image, or whoever cancelled them.
    """
    repository = repository_of(module.fetch.get("git", ""), host)
    if not repository:
        return None
    found = tally(standing)
    wanted = found.total - found[Status.SKIPPED]
    if module.module in open_modules:
        state, words = "pending", f"being built for {_kernels(wanted)}"
    elif found[Status.FAILED]:
        words = f"fails for {_kernels(found[Status.FAILED])}, built for {found[Status.BUILT]} of {wanted}"
        state = "failure"
    elif found[Status.PENDING]:
        state, words = "pending", f"to be built for {_kernels(found[Status.PENDING])}"
    elif found[Status.BUILT]:
        state, words = "success", f"built for {found[Status.BUILT]} of {_kernels(wanted)}"
    else:
        return None
    return CommitNews.model_validate(
        {
            "module": module.module,
            "host": host,
            "repository": repository,
            "commit": module.fetch.get("commit", ""),
            "state": state,
            "words": words,
            "url": url,
        }
    )


def is_to_be_told(news: CommitNews, before: CommitNews | None) -> bool:
    """Whether a commit's status has changed. Once it is known what becomes of a commit, it is not pending again."""
    if before is None or (before.host, before.repository, before.commit) != (news.host, news.repository, news.commit):
        return True
    return news.state != "pending" and (news.state, news.words) != (before.state, before.words)


def _kernels(count: int) -> str:
    return f"{count} kernel{'' if count == 1 else 's'}"
