"""What is shown of the sources: how the last looks at each went, and what is known of it. Decides, and does nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from .doubt import LOOKS
from .store import RepositoryState


class Health(StrEnum):
    """How a source is, in a word; what wants a person first."""

    DOUBTED = "doubted"
    """it says what is not believed yet"""
    FAILING = "failing"
    """it could not be read"""
    UNREAD = "unread"
    """nobody has looked at it yet"""
    GOOD = "good"
    IDLE = "idle"
    """nobody looks at it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """One source as it stands: a repository, or where a module is from."""

    name: str
    is_module: bool
    state: RepositoryState
    """what is in it of a look that failed, says why; the rest is of the last good one"""
    idle: str
    """why nobody looks at it; empty if somebody does"""
    listed: int
    """kernels"""
    gone: int
    """kernels that it does not list any more"""
    modules: tuple[str, ...]
    """that are made from its packages, or the module itself; each with the version that it is at, if that is known"""
    accepted: str
    """by whom, what is in doubt was"""

    @property
    def health(self) -> Health:
        if self.idle:
            return Health.IDLE
        if self.state.doubt and self.state.doubt.looks:
            return Health.DOUBTED
        if self.state.error:
            return Health.FAILING
        return Health.GOOD if self.state.last_ok else Health.UNREAD

    @property
    def fault(self) -> str:
        """Why the last look failed, without the name again; empty if it did not."""
        return self.state.error.removeprefix(self.name).removeprefix(":").lstrip()

    @property
    def problems(self) -> tuple[str, ...]:
        """What the last good look could not take, each with the reason."""
        return self.state.problems


def views(
    repositories: Mapping[str, Sequence[str]],
    modules: Iterable[str],
    *,
    idle: Mapping[str, str],
    states: Mapping[str, RepositoryState],
    counts: Mapping[str, tuple[int, int]],
    versions: Mapping[str, str],
    accepted: Mapping[str, str],
) -> tuple[SourceView, ...]:
    """What wants a person first; of equal ones in their order, the repositories first.

    repositories: each with the modules that are made from its packages; modules: those with a source of their own;
    idle: why nobody looks at a source; counts: of a repository's kernels, what it lists and what is gone; versions: of
    modules; accepted: by whom a source's doubt was. All by name.
    """
    found = [(name, False, packaged) for name, packaged in repositories.items()]
    found += [(name, True, (name,)) for name in modules]
    seen = [
        SourceView(
            name=name,
            is_module=is_module,
            state=states.get(name) or RepositoryState(name=name),
            idle=idle.get(name, ""),
            listed=0 if is_module else counts.get(name, (0, 0))[0],
            gone=0 if is_module else counts.get(name, (0, 0))[1],
            modules=tuple(" ".join(filter(None, (each, versions.get(each, "")))) for each in made),
            accepted=accepted.get(name, ""),
        )
        for name, is_module, made in found
    ]
    order = list(Health)
    return tuple(sorted(seen, key=lambda each: order.index(each.health)))


def plain(seen: SourceView, now: float) -> dict[str, object]:
    """For JSON. Times are seconds since the epoch, or None. now: the same."""
    state = seen.state
    return {
        "name": seen.name,
        "kind": "module" if seen.is_module else "repository",
        "health": seen.health,
        "idle": seen.idle,
        "kernels": seen.listed,
        "gone": seen.gone,
        "modules": list(seen.modules),
        "published": state.dated or None,
        "last_ok": state.last_ok or None,
        "age_seconds": round(now - state.last_ok) if state.last_ok else None,
        "last_try": state.last_try or None,
        "error": state.error,
        "hint": state.hint,
        "mirror_faults": list(state.mirror_faults),
        "problems": list(seen.problems),
        "doubt": _doubt(seen),
    }


def _doubt(seen: SourceView) -> dict[str, object] | None:
    doubt = seen.state.doubt
    if doubt is None:
        return None
    return {
        "what": doubt.what,
        "since": doubt.since,
        "looks": doubt.looks,
        "looks_needed": LOOKS,
        "accepted_by": seen.accepted,
    }
