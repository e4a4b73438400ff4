"""All that the page of one build tells. Decides, and does nothing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from .board import RUNNING, Board
from .distros import index_place
from .errors import NotFound
from .explanation import Explanation
from .manifest import IndexEntry
from .model import BuildId, Kernel, Outcome, Status
from .ondemand import OUTSIDE
from .release import version_key


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildView:
    """One build of one version, as it stands."""

    build_id: BuildId
    kernel: Kernel
    version: str
    """of the module; empty while that is not known"""
    is_current: bool
    """whether it is the version that the farm builds"""
    state: str
    why: str
    """one sentence"""
    place: int
    """in the queue, from 1; 0 if it is in none"""
    eta: float | None
    """seconds until it will have been built; None if that cannot be said"""
    entry: IndexEntry | None
    """what is published of this version"""
    published: tuple[str, ...]
    """all versions that are, the newest first"""
    explanation: Explanation
    last: Outcome | None
    """how it ended, of this version"""
    url: str
    """of the build in Buildbot that runs, or that ended last; empty if there is none"""

    @property
    def is_live(self) -> bool:
        """Whether it is about to change."""
        return self.state in (RUNNING, Status.PENDING)

    @property
    def refusal(self) -> str:
        """Why nobody can have it built; empty if somebody can."""
        if not self.is_current:
            return "only the version that the source is at is built"
        standing = self.explanation.standing
        if self.state == OUTSIDE or standing is None:
            return self.why
        if standing.entry.skipped:
            return f"it is left out: {standing.entry.skipped}"
        if self.state == RUNNING:
            return "it runs"
        return "" if self.explanation.key else "the source of its module is not read yet"


def view(found: Explanation, board: Board, version: str = "", *, slots: int, running_for: float = 0.0) -> BuildView:
    """found: of this build; version: empty for the one that is built; slots: builds at once; running_for: seconds.

    Raises NotFound for a version that is not published of it.
    """
    name = str(found.build_id)
    current = found.module.version if found.module else ""
    published = _published(found.build_id, board)
    is_current = version in ("", current)
    if not is_current and version not in published:
        there = f"published are: {', '.join(published)}" if published else "none is published"
        raise NotFound(f"{name} is not published in version {version}", hint=there)
    last = found.standing.outcome if found.standing else None
    state = _state(name, board, found) if is_current else Status.BUILT
    place = board.queue.get(name, 0) if state == Status.PENDING else 0
    return BuildView(
        build_id=found.build_id,
        kernel=found.kernel,
        version=version or current,
        is_current=is_current,
        state=state,
        why=_why(found, board, state) if is_current else "verified and published; the farm builds another version now",
        place=place,
        eta=board.seconds_left(name, place, slots=slots, running_for=running_for) if is_current else None,
        entry=published.get(version or current),
        published=tuple(published),
        explanation=found,
        last=last if last and last.module_version == (version or current) else None,
        url=_address(board.running.get(name) or (last.build_url if last else "")),
    )


def question(seen: BuildView) -> dict[str, str]:
    """What a program asks for this build, of the farm's HTTP API."""
    target = seen.build_id.target
    return {
        "module": seen.build_id.module,
        "distro": target.distro,
        "series": target.series,
        "arch": target.arch,
        "kernel_release": seen.build_id.release,
    }


def shell_words(fields: Mapping[str, str]) -> str:
    """A body of JSON as a word of a shell: of checked names, so there is no quote in it."""
    return f"'{json.dumps(fields)}'"


def index_object(seen: BuildView) -> str:
    """The key of what a node reads."""
    build = seen.build_id
    return f"index/{build.module}/{seen.version}/{index_place(build.target)}/{build.release}.json"


def _published(build_id: BuildId, board: Board) -> dict[str, IndexEntry]:
    """By version, the newest first."""
    found = {
        version: builds[str(build_id)]
        for (module, version), builds in board.published.items()
        if module == build_id.module and str(build_id) in builds
    }
    return {version: found[version] for version in sorted(found, key=version_key, reverse=True)}


def _state(name: str, board: Board, found: Explanation) -> str:
    return board.state(name) if found.standing and name in board.standings else OUTSIDE


def _why(found: Explanation, board: Board, state: str) -> str:
    waiting = board.waiting.get(str(found.build_id), "")
    if state == RUNNING:
        return "it runs now"
    # a hold says when it ends, which the plan does not
    return found.why if not waiting or waiting in found.why else f"{found.why}; waits: {waiting}"


def _address(url: str) -> str:
    """It may have been read back from the bucket."""
    return url if url.startswith(("http://", "https://")) else ""
