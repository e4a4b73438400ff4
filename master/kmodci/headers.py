"""Header bundles: what a build needs of one kernel's header packages, in one archive named by its content.

A bundle unpacks into /usr/src, by whose paths headers name each other, and nowhere else; what of a package goes
where, its distribution says (`distros.Layout`). The kernel's `.config` and `Module.symvers` come first; of a kernel
from source (`preparing`) there may be no `Module.symvers`.

As a program it makes one bundle away from its caller's interpreter, because that costs seconds of CPU:
`python -m kmodci.headers` reads a request from standard input and answers with the facts, both JSON.
"""

import hashlib
import json
import re
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .distros import Layout, Tree
from .errors import IndexDamaged, KmodciError
from .hosttools import HostTools, program
from .kernelconfig import parse_config
from .model import Package, PackageKind
from .release import check_release
from .repos.packages import package_members
from .tarzst import Kind, Member, frame, read, replacing, write
from .unpack import DAMAGE, decompressed, limited, members

_FIRST = (".config", "Module.symvers")
# where a configured tree says what `uname -r` will be (the kernel's Makefile, "uts_len")
_UTSRELEASE = "include/generated/utsrelease.h"
UNUSABLE = 3
"""how it ends as a program if the packages will not do; otherwise, and not with 0, it was not for them"""
# those of distributions have 2 MB
_SYMVERS_LIMIT = 64 << 20
# changes whenever what is kept of a package changes, so that no piece made by older code is used again
_PIECE = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """A header bundle, as made."""

    sha256: str
    size: int
    """bytes"""
    tools: HostTools


def make_bundle(
    packages: Sequence[tuple[Package, Path]],
    target: Path,
    *,
    layout: Layout,
    release: str,
    pieces: Path | None = None,
) -> BundleFacts:
    """The header packages, already downloaded, as one bundle at target. The kernel's own package is first.

    Of a kernel from source, that is the tree that was made of it, and then its Module.symvers, if there is one.

    pieces: a folder to keep each package's part in; kernels share `-common` and `linux-kbuild`, and a
    part that is there already is not made again. Raises IndexDamaged, also for headers of another kernel release.
    """
    (own_package, own_path), *others = packages
    own = _kept(own_package, own_path, layout, 0)
    if own_package.kind is PackageKind.SOURCE:
        own = [*(_symvers(path, layout) for _, path in others), *own]
        others = []
    _check_own(own, layout, own_package, check_release(release))
    inner = re.compile(rf"{re.escape(layout.own)}/arch/([^/]+)(?:/|$)")
    # links lead to those that the kernel's is not (Ubuntu's headers have one for each architecture there is)
    real = (member.name for member in own if member.kind is not Kind.LINK)
    arches = frozenset(found[1] for name in real if (found := inner.match(name)))
    rest = (_piece(each, path, layout, number, arches, pieces) for number, (each, path) in enumerate(others, 1))
    facts = write(target, [frame(own), *rest])
    folder = f"{layout.own}/"
    names = {member.name.removeprefix(folder): member for member in own if member.name.startswith(folder)}
    programs = (program(name, member.data) for name, member in names.items() if member.executable)
    tools = HostTools(programs=tuple(filter(None, programs)))
    return BundleFacts(sha256=facts.sha256, size=facts.size, tools=tools)


def _check_own(own: Sequence[Member], layout: Layout, package: Package, release: str) -> None:
    what = f"{package.name} {package.version}"
    names = {member.name: member for member in own}
    wanted = _FIRST[:1] if package.kind is PackageKind.SOURCE else _FIRST
    if not all(f"{layout.own}/{name}" in names for name in wanted):
        raise IndexDamaged(
            f"{what}: no kernel's headers in it",
            hint="the first package must be the kernel's own; it holds .config and Module.symvers",
        )
    says = names.get(f"{layout.own}/{_UTSRELEASE}")
    if says and f'"{release}"'.encode() not in says.data:
        text = says.data.decode("utf-8", "replace").strip()[:120]
        raise IndexDamaged(f"{what}: its headers are of another kernel than {release}: {text}")


def kernel_facts(
    bundle: Path, layout: Layout, *, has_symvers: bool = True
) -> tuple[dict[str, int] | None, dict[str, str]]:
    """Of the kernel that the bundle is for: exported symbol -> CRC, and the options that are set.

    The CRC is 0 where the kernel was built without CONFIG_MODVERSIONS (Documentation/kbuild/modules.rst); options are
    without quotes (`CONFIG_MODULES` -> `y`). Both come first in a bundle, so little of it is read. Raises IndexDamaged.
    has_symvers: `Kernel.has_symvers`; without, what it exports is not known, and None.
    """
    names = [f"{layout.own}/{name}" for name in (_FIRST if has_symvers else _FIRST[:1])]
    found = read(bundle, names)
    config, *symvers = (found[name].decode("utf-8", "replace") for name in names)
    return (parse_symvers(symvers[0]) if symvers else None), parse_config(config)


def parse_symvers(text: str) -> dict[str, int]:
    """Module.symvers: lines of CRC, symbol, exporter, kind, namespace, parted by tabs. Raises IndexDamaged."""
    try:
        return {fields[1]: int(fields[0], 16) for line in text.splitlines() if (fields := line.split("\t"))}
    except (IndexError, ValueError) as damage:
        raise IndexDamaged(f"not a Module.symvers: {damage}") from damage


def _piece(
    package: Package, path: Path, layout: Layout, number: int, arches: frozenset[str], pieces: Path | None
) -> bytes:
    """A package's part of a bundle, made or remembered."""
    if pieces is None:
        return frame(_kept(package, path, layout, number, arches))
    # links may lead into the other packages it shares a kernel with, but not into the kernel's own, which is another's
    named = [_PIECE, package.identity, [asdict(tree) for tree in layout.trees[1:]], number, sorted(arches)]
    key = hashlib.sha256(json.dumps(named).encode()).hexdigest()
    kept = pieces / f"{key}.zst"
    if not kept.exists():
        made = frame(_kept(package, path, layout, number, arches))
        with replacing(kept) as file:
            file.write(made)
    return kept.read_bytes()


def _kept(
    package: Package, path: Path, layout: Layout, number: int, arches: frozenset[str] = frozenset()
) -> list[Member]:
    """What builds read of a package, the first to be read first. arches: of the kernel's tree; none: all."""
    folder = layout.trees[number].folder
    other = re.compile(rf"{re.escape(folder)}/arch/([^/]+)(?:/|$)")
    first = tuple(f"{layout.own}/{name}" for name in _FIRST)
    # The kernel itself, 50 MB and more, which Arch has among its headers. Without it, kbuild makes no BTF for a module
    # (scripts/Makefile.modfinal), which no module needs; with it, kbuild wants a pahole that is as new as the kernel's
    # compiler, or fails (https://github.com/falcosecurity/driverkit/pull/233).
    itself = f"{layout.own}/vmlinux"
    place = _placer(layout)
    made = package.kind is PackageKind.SOURCE
    parts = _tree_members(path, place) if made else package_members(package, path.read_bytes(), place=place)
    found = [member for member in parts if member.name != itself and _is_read(member, other, arches)]
    return sorted(found, key=lambda member: (member.name not in first, member.name))


def _tree_members(path: Path, place: Callable[[str], str]) -> Iterator[Member]:
    """Of what was made of a kernel's source: a tar out of a container, believed as little as any other."""
    what = "what was made of the source"
    try:
        with tarfile.open(path, mode="r:") as tar:
            yield from members(tar, what=what, place=place)
    except DAMAGE as damage:
        raise IndexDamaged(f"{what}: damaged archive: {damage}") from damage


def _symvers(path: Path, layout: Layout) -> Member:
    """As its kernel's vendor published it: plain, or compressed. Raises IndexDamaged."""
    what = "Module.symvers"
    try:
        data = limited(decompressed(path.read_bytes()), _SYMVERS_LIMIT, what).read()
    except DAMAGE as damage:
        raise IndexDamaged(f"{what}: damaged: {damage}") from damage
    parse_symvers(data.decode("utf-8", "replace"))
    return Member(name=f"{layout.own}/{_FIRST[1]}", data=data)


def _placer(layout: Layout) -> Callable[[str], str]:
    """From a name in any of the packages to its place in the bundle; links lead from one package to another."""
    places = {root: tree.folder for tree in layout.trees for root in tree.roots}

    def place(name: str) -> str:
        head, tail = name, ""
        while head:
            if head in places:
                return places[head] + tail
            head, slash, last = head.rpartition("/")
            tail = f"{slash}{last}{tail}"
        return ""

    return place


def _is_read(member: Member, other: re.Pattern[str], arches: frozenset[str]) -> bool:
    """False for other architectures, and for the empty files by which kbuild tells what changed since the last build.

    They are most of the files (6,000 of 6,900 in one package), and a clean build has no last one
    (scripts/basic/fixdep.c only ever looks at them through `$(wildcard)`).
    """
    if member.kind is Kind.FILE and not member.data and "/include/config/" in member.name:
        return False
    arch = other.match(member.name)
    is_arch = arch is not None and (member.kind is Kind.FOLDER or member.name.count("/") > arch[0].count("/"))
    return not (arches and arch and is_arch and arch[1] not in arches)


def request(
    packages: Sequence[tuple[Package, Path]],
    target: Path,
    *,
    layout: Layout,
    release: str,
    pieces: Path | None = None,
) -> str:
    """What to write to the standard input of `python -m kmodci.headers`."""
    return json.dumps(
        {
            "packages": [[asdict(package), str(path)] for package, path in packages],
            "target": str(target),
            "layout": asdict(layout),
            "release": release,
            "pieces": str(pieces) if pieces else None,
        }
    )


def main() -> int:
    """One request from standard input: answers on standard output; what is wrong with it on standard error."""
    asked: Mapping[str, object] = json.load(sys.stdin)
    match asked:
        case {
            "packages": list(pairs),
            "target": str(target),
            "layout": dict(fields),
            "release": str(release),
            "pieces": pieces,
        }:
            packages = [(Package(**package), Path(path)) for package, path in pairs]
            trees = tuple(Tree(folder=tree["folder"], roots=tuple(tree["roots"])) for tree in fields["trees"])
            layout = Layout(trees=trees, own=fields["own"], source=fields["source"])
        case _:
            sys.stderr.write("not a request for a header bundle\n")
            return 2
    try:
        kept = Path(str(pieces)) if pieces else None
        facts = make_bundle(packages, Path(target), layout=layout, release=release, pieces=kept)
    except KmodciError as error:
        sys.stderr.write(f"{error.brief}\n")
        return UNUSABLE
    sys.stdout.write(json.dumps({"sha256": facts.sha256, "size": facts.size, "tools": facts.tools.to_json()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
