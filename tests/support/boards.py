"""Boards of Debian's recorded kernels, with builds that ended as a test wants."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from kmodci.board import Board
from kmodci.coverage import standings
from kmodci.images import recipe
from kmodci.manifest import IndexEntry, PublishedFile
from kmodci.matrix import Entry, keys, select
from kmodci.model import Kernel, ModuleVersion, Outcome, Status
from kmodci.modulefile import Module, PathSource
from kmodci.schema import KnownFailure, Scope

from .kernels import kernels

TODAY = date(2026, 11, 23)
TOOLCHAINS = ("gcc-10", "gcc-12", "gcc-14", "gcc-16")
MODULE = Module(source=PathSource(path=Path("/src")), version="1.0")
RECIPES = {toolchain: recipe(toolchain, distro="debian", series="sid") for toolchain in TOOLCHAINS}


def version_of(module: str, version: str = "1.0") -> ModuleVersion:
    return ModuleVersion(module=module, version=version, origin="a folder", digest="d1")


def board(
    ended: Mapping[str, tuple[Status, str]] | Status = Status.PENDING,
    *,
    modules: Sequence[str] = ("loop",),
    scope: Scope | None = None,
    among: Sequence[Kernel] = (),
    failures: Sequence[KnownFailure] = (),
    finished: float = 1_700_000_000.0,
    **more: object,
) -> Board:
    """ended: how builds ended, and why, by build id; or how all of them did. among: instead of Debian's kernels.

    What is built is published as well. more: fields of the board.
    """
    every, taken = among or kernels(), dict.fromkeys(modules, MODULE)
    versions = {name: version_of(name) for name in modules}
    entries = select(every, taken, scope or Scope(), failures, toolchains=RECIPES, today=TODAY)
    named = keys(entries, versions, RECIPES, taken)
    if isinstance(ended, Status):
        ended = {} if ended is Status.PENDING else {str(each.build_id): (ended, "") for each in entries}
    by_name = {str(each.build_id): each for each in entries}
    outcomes = {
        name: outcome(by_name[name], named[name], status, cause, finished) for name, (status, cause) in ended.items()
    }
    published = {
        (module, "1.0"): {
            name: published_of(by_name[name])
            for name, last in outcomes.items()
            if last.status is Status.BUILT and name.startswith(f"{module}/")
        }
        for module in modules
    }
    fields: dict[str, object] = {
        "is_whole": True,
        "made": finished,
        "kernels": {str(each): each for each in every},
        "standings": {str(each.entry.build_id): each for each in standings(entries, outcomes, named)},
        "keys": named,
        "versions": versions,
        "published": published,
    }
    return Board(**{**fields, **more})  # type: ignore[arg-type] # a test's own fields


def outcome(entry: Entry, key: str, status: Status, cause: str = "", finished: float = 1_700_000_000.0) -> Outcome:
    kernel = entry.kernel
    return Outcome(
        build_id=entry.build_id,
        key=key,
        status=status,
        cause=cause,
        module_version="1.0",
        kernel_version=kernel.version,
        finished=finished,
        seconds=12.5,
        make_seconds=3.25,
        build_url="http://127.0.0.1:8010/#/builders/1/builds/1",
        manifest=published_of(entry).manifest if status is Status.BUILT else "",
    )


def published_of(entry: Entry, version: str = "1.0") -> IndexEntry:
    """What the index says of a build."""
    build, kernel = entry.build_id, entry.kernel
    target = kernel.target
    folder = f"modules/{build.module}/{version}/{target.distro}/{target.series}/{target.arch}/{kernel.release}"
    return IndexEntry(
        module=build.module,
        version=version,
        distro=target.distro,
        series=target.series,
        arch=target.arch,
        release=kernel.release,
        kernel_version=kernel.version,
        files=(
            PublishedFile(
                name=f"{build.module}.ko",
                key=f"{folder}/{build.module}.ko",
                sha256="5" * 64,
                size=4321,
                module=build.module,
                vermagic=f"{kernel.release} SMP preempt mod_unload modversions ",
                depends=(),
                srcversion="ABCDEF0123456789",
            ),
        ),
        manifest=f"{folder}/manifest.json",
    )
