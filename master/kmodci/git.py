"""What we ask of git repositories: where a ref points, and the files of one commit."""

import difflib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from .errors import FetchError, NotFound
from .release import version_key

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SECONDS = 300
# bytes of an answer: a repository may have a hundred thousand names
_ANSWER = 64 << 20
_MEMORY = 8 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """Where a name points now."""

    commit: str
    tag: str = ""
    """the tag's name, if it is one"""


def look(url: str, ref: str = "HEAD") -> Ref:
    """Resolves a branch, tag or full commit. Raises FetchError; NotFound with the nearest names."""
    if _COMMIT.fullmatch(ref):
        return Ref(commit=ref)
    refs = _refs(url)
    for name in (f"refs/tags/{ref}", f"refs/heads/{ref}", "HEAD" if ref == "HEAD" else ""):
        if name in refs:
            return Ref(commit=refs[name], tag=ref if name.startswith("refs/tags/") else "")
    names = [name.split("/", 2)[-1] for name in refs]
    nearest = difflib.get_close_matches(ref, names, n=3, cutoff=0.3)
    raise NotFound(
        f"{url} has no branch or tag {ref[:80]!r}",
        hint=f"did you mean {' or '.join(nearest)}?" if nearest else "name a branch, a tag or a full commit",
    )


def newest_tag(url: str, pattern: str) -> Ref:
    """The highest of the tags that a glob takes. Raises FetchError, NotFound."""
    tags = {name.removeprefix("refs/tags/"): commit for name, commit in _refs(url).items() if "refs/tags/" in name}
    found = [tag for tag in tags if fnmatchcase(tag, pattern)]
    if not found:
        raise NotFound(f"{url} has no tag like {pattern!r}", hint=f"it has {', '.join(sorted(tags)[-5:]) or 'none'}")
    tag = max(found, key=version_key)
    return Ref(commit=tags[tag], tag=tag)


def archive(url: str, commit: str, *, limit: int) -> bytes:
    """The files of a commit as a tar. limit: bytes. Raises FetchError."""
    with tempfile.TemporaryDirectory(prefix="kmodci-git-") as name:
        folder = Path(name)
        _git(url, "init", "--quiet", "--bare", folder=folder)
        # what a few kilobytes of a repository can grow to has no limit, so it is not waited for until it is there
        try:
            _git(url, "fetch", "--quiet", "--depth=1", "--", url, commit, folder=folder, limit=limit)
        except FetchError:
            # not every server gives a commit that no ref points to; then it is among what the refs hold, or gone
            everything = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
            _git(url, "fetch", "--quiet", "--", url, *everything, folder=folder, limit=limit)
        _git(url, "archive", "--format=tar", "--output=tree.tar", commit, folder=folder, limit=limit)
        return (folder / "tree.tar").read_bytes()


def _refs(url: str) -> dict[str, str]:
    """Ref -> commit; an annotated tag's commit, not the tag's own object."""
    refs: dict[str, str] = {}
    for line in _git(url, "ls-remote", "--", url, "HEAD", "refs/heads/*", "refs/tags/*").splitlines():
        commit, _, name = line.partition("\t")
        if _COMMIT.fullmatch(commit):
            # `name^{}` follows `name`, and is the commit that the tag's object names (git-ls-remote(1))
            refs[name.removesuffix("^{}")] = commit
    return refs


def _git(url: str, *arguments: str, folder: Path | None = None, limit: int = _ANSWER) -> str:
    """Its answer. limit: bytes of each file that it writes."""
    if shutil.which("git") is None:
        raise FetchError(url, "there is no git on this machine", hint="install git")
    environment = os.environ | {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        # no `ext::`: it runs what the URL says (gitremote-helpers(7))
        "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    }
    try:
        # in files, which have the limit too
        with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as words:
            done = subprocess.run(
                ("/bin/sh", "-c", f'{_limits(limit)} exec git "$@"', "git", *arguments),
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=answer, stderr=words,
                timeout=_SECONDS, check=False,
            )  # fmt: skip
            answer.seek(0)
            words.seek(0)
            said = words.read().decode(errors="replace")
            if done.returncode == -signal.SIGXFSZ or f"signal {signal.SIGXFSZ:d}" in said:
                raise FetchError(url, f"git {arguments[0]} gives more than {max(1, limit >> 20)} MiB")
            if done.returncode:
                raise FetchError(url, _complaint(said), hint="does `git ls-remote` with this URL work by hand?")
            return answer.read().decode(errors="replace")
    except subprocess.TimeoutExpired:
        raise FetchError(url, f"git {arguments[0]} took more than {_SECONDS} s") from None


def _limits(size: int) -> str:
    """For a shell (ulimit(1p), which counts files in 512 bytes). size: of a file, in bytes."""
    return f"ulimit -f {size // 512}; ulimit -v {_MEMORY // 1024};"


def _complaint(said: str) -> str:
    """The line that says what is wrong; advice comes before and after it."""
    lines = said.strip().splitlines()
    return next((line for line in lines if line.startswith("fatal: ")), lines[-1] if lines else "git failed silently")
