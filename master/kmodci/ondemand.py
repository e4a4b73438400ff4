"""What the farm answers to who needs a module for a kernel now. Decides, and does nothing."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from .board import RUNNING, Board
from .coverage import Standing
from .distros import index_place
from .errors import NotFound
from .manifest import IndexEntry
from .matrix import Entry
from .model import BuildId, Kernel, Status, Target, check_module_version
from .release import BadName, check_name, check_release, version_key
from .search import find_kernel, find_module

OUTSIDE = "outside"
"""the state of a build that is no part of the matrix"""
_SEPARATOR = ","


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """As a node asks. Names are checked by who makes it; raises BadName."""

    module: str
    target: Target
    """its series is of consequence only where the distribution's series have different kernels of one release"""
    release: str
    version: str = ""
    """of the module; empty for the one that its source is at"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How things stand with what was asked for."""

    build_id: BuildId
    version: str
    """of the module"""
    kernel: Kernel
    state: str
    """`built`, `running`, `pending`, `failed`, `unavailable`, `skipped` or `outside`"""
    reason: str = ""
    """for what is not built: a sentence"""
    place: int = 0
    """in the queue, from 1; 0 if it is in none"""
    entry: IndexEntry | None = None
    """what is published; None if nothing is"""
    others: tuple[str, ...] = ()
    """other versions of the module that are published for this kernel, the newest first"""
    planned: Entry | None = None
    """what a build would be of; None where there can be none"""

    @property
    def id(self) -> str:
        """Names the question: the same whenever it is asked again. Is one part of a URL's path."""
        return _SEPARATOR.join((self.build_id.module, self.version, str(self.build_id.target), self.build_id.release))

    @property
    def is_built(self) -> bool:
        return self.entry is not None

    @property
    def is_coming(self) -> bool:
        """Whether it runs, or will be built."""
        return self.state in (RUNNING, Status.PENDING)


def parse_id(text: str) -> Question:
    """The question that an id names. Raises BadName."""
    parts = text.split(_SEPARATOR)
    if len(parts) != 4:
        raise BadName(f"not an id: {text[:120]!r}", hint="an id is what an answer to a question has as `id`")
    return Question(
        module=check_name(parts[0], "module"),
        # of a module whose source is not read yet
        version=check_module_version(parts[1]) if parts[1] else "",
        target=Target.parse(parts[2]),
        release=check_release(parts[3]),
    )


def is_known(question: Question, board: Board, modules: Collection[str]) -> bool:
    """Whether there are such a module and kernel. Where not, `answer` looks for the nearest, which takes long."""
    return question.module in modules and (index_place(question.target), question.release) in board.places


def answer(question: Question, board: Board, modules: Collection[str]) -> Answer:
    """How things stand with it. modules: all that the farm knows.

    Raises NotFound, with the nearest, for a module, a kernel or a version that is not there.
    """
    find_module(question.module, modules)
    kernel = find_place(question.target, question.release, board)
    build_id = BuildId(module=question.module, target=kernel.target, release=kernel.release)
    known = board.versions.get(question.module)
    current = known.version if known else ""
    published = _published(build_id, board)
    version = question.version or current
    others = tuple(sorted((each for each in published if each != version), key=version_key, reverse=True))
    if version != current:
        return _of_another_version(build_id, version, kernel, published, others, current)
    standing = board.standings.get(str(build_id))
    if standing is None:
        return Answer(
            build_id=build_id,
            version=version,
            kernel=kernel,
            state=OUTSIDE,
            reason="this farm does not build it: its scope, or `kernels:` of the module, leaves it out",
            others=others,
        )
    return _of_standing(standing, version, board, published.get(version), others)


def find_place(target: Target, release: str, board: Board) -> Kernel:
    """The kernel that a node of this distribution, series and architecture runs. Raises NotFound with the nearest."""
    place = index_place(target)
    found = board.places.get((place, release))
    if found is not None:
        return found
    # the nearest are looked for among its own
    of_place = {f"{target}/{name}": name for name in board.releases.get(place, ())}
    find_kernel(f"{target}/{release}", of_place, among="is listed by any source of this farm")
    raise AssertionError("found by one name and not by the other")


def _published(build_id: BuildId, board: Board) -> Mapping[str, IndexEntry]:
    """By version, what is published of a build."""
    name = str(build_id)
    return {
        version: entries[name]
        for (module, version), entries in board.published.items()
        if module == build_id.module and name in entries
    }


def _of_another_version(
    build_id: BuildId,
    version: str,
    kernel: Kernel,
    published: Mapping[str, IndexEntry],
    others: tuple[str, ...],
    current: str,
) -> Answer:
    entry = published.get(version)
    if entry is None:
        there = ", ".join(others) or "none"
        raise NotFound(
            f"{build_id} is not published in version {version}",
            hint=f"published are: {there}; the farm builds {current or 'what its source is at, once that is read'}",
        )
    return Answer(build_id=build_id, version=version, kernel=kernel, state=Status.BUILT, entry=entry, others=others)


def _of_standing(
    standing: Standing, version: str, board: Board, entry: IndexEntry | None, others: tuple[str, ...]
) -> Answer:
    name = str(standing.entry.build_id)
    state = board.state(name)
    if state == Status.BUILT and entry is None:
        # the index is about to be read again
        state = Status.PENDING
    # also while it is built once more
    is_built = standing.status is Status.BUILT
    return Answer(
        build_id=standing.entry.build_id,
        version=version,
        kernel=standing.entry.kernel,
        state=state,
        reason="" if is_built else standing.cause or board.waiting.get(name, ""),
        place=0 if state == Status.BUILT else board.queue.get(name, 0),
        entry=entry if is_built else None,
        others=others,
        planned=standing.entry,
    )
