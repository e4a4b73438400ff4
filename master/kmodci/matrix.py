"""The build matrix: modules x kernels after selection, and what of it has to be built. Decides, and does nothing."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from .images import Recipe, natively, nearest
from .model import BuildId, Evidence, Hold, Kernel, ModuleVersion, Outcome, Status, input_key
from .modulefile import Module
from .release import version_key
from .schema import KnownFailure, Scope
from .selectors import matches

# seconds until a package that a mirror did not have is asked for again
_LOOK_AGAIN = 6 * 3600.0
_NO_HOLDS: Mapping[str, Hold] = MappingProxyType({})


class Why(StrEnum):
    """Why a build is due."""

    NEW_MODULE = "new module"
    NEW_KERNEL = "new kernel"
    NEW_HEADERS = "new header packages"
    NEW_MODULE_VERSION = "new module version"
    NEW_TOOLCHAIN = "new toolchain recipe"
    NEW_RECIPE = "new build recipe"
    RETRY = "retry"
    FORCED = "forced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One build of the matrix."""

    build_id: BuildId
    kernel: Kernel
    toolchain: str = ""
    """whose image is used: the kernel's own compiler, or else the nearest that is newer; empty where there is none"""
    skipped: str = ""
    """why it is not to be built; empty if it is"""
    lost: str = ""
    """why its headers cannot be had: its kernel is gone, and no bundle was made of them before; empty if they may be"""

    @property
    def is_exact(self) -> bool:
        """Whether it is built with the very compiler that its kernel was built with, as far as that is known."""
        return self.toolchain == self.kernel.toolchain and self.kernel.evidence is not Evidence.SERIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A build that is due."""

    entry: Entry
    key: str
    """names its inputs, see `model.input_key`"""
    why: Why


def select(
    kernels: Iterable[Kernel],
    modules: Mapping[str, Module],
    scope: Scope,
    known_failures: Sequence[KnownFailure] = (),
    *,
    toolchains: Collection[str],
    today: date,
    bundled: Collection[str] = frozenset(),
) -> tuple[Entry, ...]:
    """The matrix: newest kernels first, so that a long run begins with what is most waited for.

    toolchains: those that there is an image for; bundled: digests of the header packages that a bundle was made of.
    """
    chosen = [name for name in modules if matches(name, scope.modules)]
    failures = [failure for failure in known_failures if failure.holds(today)]
    return tuple(
        _entry(BuildId(module=name, target=kernel.target, release=kernel.release), kernel, failures, toolchains, lost)
        for kernel in newest_first(_in_scope(kernels, scope))
        for lost in [
            "" if not kernel.gone or any(each in bundled for each in kernel.headers_digests) else kernel.absence
        ]
        for name in chosen
        if _takes(modules[name], kernel)
    )


def newest_first(kernels: Iterable[Kernel]) -> list[Kernel]:
    """By kernel release; of equal ones by target."""
    by_target = sorted(kernels, key=lambda kernel: (kernel.target, kernel.release))
    return sorted(by_target, key=lambda kernel: version_key(kernel.release), reverse=True)


def keys(
    entries: Iterable[Entry],
    versions: Mapping[str, ModuleVersion],
    recipes: Mapping[str, Recipe],
    modules: Mapping[str, Module],
) -> dict[str, str]:
    """What names the inputs of each build, by build id; none for what is skipped or cannot be named yet.

    versions, modules: by module; recipes: of images, by toolchain.
    """
    images = {toolchain: recipe.digest for toolchain, recipe in recipes.items()}
    ways = {name: module.recipe_digest for name, module in modules.items()}
    return {
        str(entry.build_id): input_key(
            build_id=entry.build_id,
            module=versions[entry.build_id.module],
            recipe=ways[entry.build_id.module],
            kernel=entry.kernel,
            image=images[entry.toolchain],
        )
        for entry in entries
        if not entry.skipped and entry.build_id.module in versions and entry.toolchain in images
    }


def former_keys(
    entries: Iterable[Entry],
    versions: Mapping[str, ModuleVersion],
    recipes: Mapping[str, Recipe],
    modules: Mapping[str, Module],
) -> dict[str, str]:
    """What `keys` said of a build until the headers of its kernel told another compiler than was assumed."""
    before = (
        entry(each.build_id, replace(kernel, toolchain=kernel.assumed, evidence=Evidence.SERIES), recipes)
        for each in entries
        if (kernel := each.kernel).assumed not in ("", kernel.toolchain)
    )
    return keys(before, versions, recipes, modules)


def plan(
    entries: Sequence[Entry],
    named: Mapping[str, str],
    versions: Mapping[str, ModuleVersion],
    outcomes: Mapping[str, Outcome],
    recipes: Mapping[str, Recipe],
    *,
    now: float,
    holds: Mapping[str, Hold] = _NO_HOLDS,
) -> tuple[Planned, ...]:
    """What is due, in the order of the entries; also what is held.

    A build that ended is not due again while its key is the same: the same inputs end the same way. Only what was
    unavailable is tried again after some hours: a mirror may list a package before it has it, or lose it for a while.
    What is lost is not due before its kernel is listed again.

    now: seconds since the epoch; named (as `keys` tells), outcomes, holds: by build id; versions: by module; recipes:
    of images, by toolchain.
    """
    seen = {outcome.build_id.module for outcome in outcomes.values()}
    due: list[Planned] = []
    for entry in entries:
        build_id = str(entry.build_id)
        key = named.get(build_id)
        last, hold = outcomes.get(build_id), holds.get(build_id)
        if key is None or entry.lost or (last and last.key == key and not _may_be_back(last, now)):
            continue
        if (hold and hold.key == key) or (last and last.key == key):
            why = Why.RETRY
        elif last is None:
            why = Why.NEW_KERNEL if entry.build_id.module in seen else Why.NEW_MODULE
        else:
            why = _what_differs(entry, versions[entry.build_id.module], recipes[entry.toolchain], last)
        due.append(Planned(entry=entry, key=key, why=why))
    return tuple(due)


def entry(
    build_id: BuildId, kernel: Kernel, toolchains: Collection[str], *, skipped: str = "", lost: str = ""
) -> Entry:
    """One build, with the toolchain that it gets. toolchains: those that there is an image for."""
    toolchain = nearest(kernel.toolchain, toolchains)
    return Entry(
        build_id=build_id,
        kernel=kernel,
        toolchain=toolchain,
        skipped=skipped or ("" if toolchain else no_toolchain(kernel)),
        lost=lost,
    )


def no_toolchain(kernel: Kernel) -> str:
    """Why a kernel cannot be built."""
    return f"no toolchain {kernel.toolchain} in targets.yml, nor a newer one"


def _entry(
    build_id: BuildId, kernel: Kernel, failures: Iterable[KnownFailure], toolchains: Collection[str], lost: str
) -> Entry:
    skipped = next((failure.reason for failure in failures if matches(str(build_id), [failure.builds])), "")
    return entry(build_id, kernel, toolchains, skipped=skipped, lost=lost)


def _takes(module: Module, kernel: Kernel) -> bool:
    return matches(str(kernel), module.kernels.include) and not matches(str(kernel), module.kernels.exclude)


def _in_scope(kernels: Iterable[Kernel], scope: Scope) -> list[Kernel]:
    found = [kernel for kernel in kernels if matches(str(kernel), scope.kernels)]
    if scope.newest is None:
        return found
    groups: defaultdict[tuple[str, str], list[Kernel]] = defaultdict(list)
    for kernel in newest_first(found):
        groups[str(kernel.target), kernel.flavour].append(kernel)
    # what is gone takes no place of what is listed
    return [kernel for group in groups.values() for kernel in sorted(group, key=_is_gone)[: scope.newest]]


def _is_gone(kernel: Kernel) -> bool:
    return kernel.gone > 0


def _may_be_back(last: Outcome, now: float) -> bool:
    return last.status is Status.UNAVAILABLE and now - last.finished >= _LOOK_AGAIN


def _what_differs(entry: Entry, module: ModuleVersion, recipe: Recipe, last: Outcome) -> Why:
    if last.module_version != module.version:
        return Why.NEW_MODULE_VERSION
    if last.kernel_version != entry.kernel.version:
        return Why.NEW_HEADERS
    if last.image not in (recipe.digest, natively(recipe, entry.kernel.target.arch).digest):
        return Why.NEW_TOOLCHAIN
    # also new content under an old version, of a folder or a branch
    return Why.NEW_RECIPE
