"""Why a build is what it is, and all that it is made of. Decides, and does nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from .coverage import Standing, standings
from .images import Recipe, nearest
from .matrix import Entry, keys, plan
from .model import BuildId, Evidence, Hold, Kernel, ModuleVersion, Outcome, Status
from .modulefile import Module
from .selectors import matches

SAID_BY: Mapping[Evidence, str] = {
    Evidence.PACKAGE: "its package",
    Evidence.CONFIG: "its configuration",
    Evidence.SERIES: "targets.yml of its series (its headers are not read yet, or do not say)",
}
"""what says which compiler a kernel was built with, in words"""


class Outside(StrEnum):
    """Why a build that could be is not part of the matrix."""

    SCOPE = "not in the matrix: the scope does not take it"
    REMOVED = "not in the matrix: modules.yml has no such module any more"
    MODULE = "not in the matrix: `kernels:` of the module in modules.yml leaves it out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything there is to say about one build."""

    build_id: BuildId
    kernel: Kernel
    standing: Standing | None
    """None if it is not part of the matrix"""
    why: str
    """one sentence"""
    module: ModuleVersion | None
    recipe: Recipe | None
    """of the toolchain's image; None if targets.yml has no such toolchain"""
    key: str
    """names its inputs; empty if they are not known"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What explanations are made from. kernels and outcomes by `target/release` and build id, the rest by name."""

    kernels: Mapping[str, Kernel]
    modules: Mapping[str, Module]
    entries: tuple[Entry, ...]
    versions: Mapping[str, ModuleVersion]
    outcomes: Mapping[str, Outcome]
    recipes: Mapping[str, Recipe]
    holds: Mapping[str, Hold]
    now: float
    """seconds since the epoch"""


def explain(build_id: BuildId, known: Known) -> Explanation:
    """What is known about a build. build_id: of a module and a kernel that are known."""
    kernel = known.kernels[f"{build_id.target}/{build_id.release}"]
    entry = next((entry for entry in known.entries if entry.build_id == build_id), None)
    found = keys([entry], known.versions, known.recipes, known.modules) if entry else {}
    standing = standings([entry], known.outcomes, found)[0] if entry else None
    return Explanation(
        build_id=build_id,
        kernel=kernel,
        standing=standing,
        why=_why(standing, known, found) if standing else _outside(build_id, kernel, known),
        module=known.versions.get(build_id.module),
        recipe=known.recipes.get(nearest(kernel.toolchain, known.recipes)),
        key=found.get(str(build_id), ""),
    )


def _why(standing: Standing, known: Known, named: Mapping[str, str]) -> str:
    entry = standing.entry
    module = entry.build_id.module
    match standing.status:
        case Status.BUILT:
            return "verified and published"
        case Status.PENDING if module not in known.versions:
            return f"the source of {module} has not been read yet"
        case Status.PENDING:
            hold = known.holds.get(str(entry.build_id))
            if hold and hold.key == named.get(str(entry.build_id)):
                return f"{hold.reason}; {_again(hold)}"
            due = plan([entry], named, known.versions, known.outcomes, known.recipes, now=known.now)
            return f"to be built: {due[0].why}" if due else "to be built"
        case Status.UNAVAILABLE if entry.lost:
            return f"{entry.lost}, with no bundle of its headers made; built when it is listed again, or you force it"
        case Status.SKIPPED if entry.skipped:
            return f"not tried: {entry.skipped}"
        case _:
            return f"{standing.cause}; not tried again before something of it changes, or somebody asks"


def _again(hold: Hold) -> str:
    if math.isinf(hold.until):
        return "built when somebody asks for it (force it), or something of it changes"
    return f"tried again after {datetime.fromtimestamp(hold.until, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _outside(build_id: BuildId, kernel: Kernel, known: Known) -> str:
    if build_id.module not in known.modules:
        return Outside.REMOVED
    choice = known.modules[build_id.module].kernels
    taken = matches(str(kernel), choice.include) and not matches(str(kernel), choice.exclude)
    return Outside.SCOPE if taken else Outside.MODULE
