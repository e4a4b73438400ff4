"""Header bundles: what a build needs of one kernel's header packages, in one archive named by its content.

A bundle unpacks into /usr/src, by whose paths headers name each other, and nowhere else; what of a package goes
where, its distribution says (`distros.Layout`). The kernel's `.config` and `Module.symvers` come first.

As a program it makes one bundle away from its caller's interpreter, because that costs seconds of CPU:
`python -m kmodci.headers` reads a request from standard input and answers with the facts, both JSON.
"""

import hashlib
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .distros import Layout, Tree
from .errors import IndexDamaged, KmodciError
from .model import Package
from .release import check_release
from .repos.packages import package_members
from .tarzst import Kind, Member, frame, read, replacing, write

_FIRST = (".config", "Module.symvers")
# where a configured tree says what `uname -r` will be (the kernel's Makefile, "uts_len")
_UTSRELEASE = "include/generated/utsrelease.h"
# changes whenever what is kept of a package changes, so that no piece made by older code is used again
_PIECE = "2"
_VERSION_TEXT = re.compile(r"\b(gcc|clang)\b.*?\s([0-9]{1,2})\.[0-9]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """A header bundle, as made."""

    sha256: str
    size: int
    """bytes"""


def make_bundle(
    packages: Sequence[tuple[Package, Path]],
    target: Path,
    *,
    layout: Layout,
    release: str,
    pieces: Path | None = None,
) -> BundleFacts:
    """The header packages, already downloaded, as one bundle at target. The kernel's own package is first.

    pieces: a folder to keep each package's part in; kernels share `-common` and `linux-kbuild`, and a
    part that is there already is not made again. Raises IndexDamaged, also for headers of another kernel release.
    """
    (own_package, own_path), *others = packages
    own = _kept(own_package, own_path, layout, 0)
    _check_own(own, layout, f"{own_package.name} {own_package.version}", check_release(release))
    inner = re.compile(rf"{re.escape(layout.own)}/arch/([^/]+)(?:/|$)")
    # links lead to those that the kernel's is not (Ubuntu's headers have one for each architecture there is)
    real = (member.name for member in own if member.kind is not Kind.LINK)
    arches = frozenset(found[1] for name in real if (found := inner.match(name)))
    rest = (_piece(each, path, layout, number, arches, pieces) for number, (each, path) in enumerate(others, 1))
    facts = write(target, [frame(own), *rest])
    return BundleFacts(sha256=facts.sha256, size=facts.size)


def _check_own(own: Sequence[Member], layout: Layout, what: str, release: str) -> None:
    names = {member.name: member for member in own}
    if not all(f"{layout.own}/{name}" in names for name in _FIRST):
        raise IndexDamaged(
            f"{what}: no kernel's headers in it",
            hint="the first package must be the kernel's own; it holds .config and Module.symvers",
        )
    says = names.get(f"{layout.own}/{_UTSRELEASE}")
    if says and f'"{release}"'.encode() not in says.data:
        text = says.data.decode("utf-8", "replace").strip()[:120]
        raise IndexDamaged(f"{what}: its headers are of another kernel than {release}: {text}")


def kernel_facts(bundle: Path, layout: Layout) -> tuple[dict[str, int], dict[str, str]]:
    """Of the kernel that the bundle is for: exported symbol -> CRC, and the options that are set.

    The CRC is 0 where the kernel was built without CONFIG_MODVERSIONS (Documentation/kbuild/modules.rst); options are
    without quotes (`CONFIG_MODULES` -> `y`). Both come first in a bundle, so little of it is read. Raises IndexDamaged.
    """
    found = read(bundle, [f"{layout.own}/{name}" for name in _FIRST])
    config, symvers = (found[f"{layout.own}/{name}"].decode("utf-8", "replace") for name in _FIRST)
    return parse_symvers(symvers), parse_config(config)


def compiler_of(config: Mapping[str, str]) -> str:
    """The toolchain that a kernel's configuration names (`gcc-12`); empty where it names none that can be read.

    CONFIG_CC_VERSION_TEXT is the first line of `$(CC) --version` (init/Kconfig, since 5.8); CONFIG_GCC_VERSION and
    CONFIG_CLANG_VERSION are numbers like 120200 (since 4.18). What vendors call their compiler differs
    (`gcc (Ubuntu 13.3.0-6ubuntu2) 13.3.0`, `x86_64-linux-gnu-gcc-12 (...)`); the numbers do not.
    """
    for kind in ("gcc", "clang"):
        number = config.get(f"CONFIG_{kind.upper()}_VERSION", "0")
        if number.isdecimal() and int(number[:9]) >= 10_000:
            return f"{kind}-{int(number[:9]) // 10_000}"
    found = _VERSION_TEXT.search(config.get("CONFIG_CC_VERSION_TEXT", ""))
    return f"{found[1]}-{found[2]}" if found else ""


def parse_symvers(text: str) -> dict[str, int]:
    """Module.symvers: lines of CRC, symbol, exporter, kind, namespace, parted by tabs. Raises IndexDamaged."""
    try:
        return {fields[1]: int(fields[0], 16) for line in text.splitlines() if (fields := line.split("\t"))}
    except (IndexError, ValueError) as damage:
        raise IndexDamaged(f"not a Module.symvers: {damage}") from damage


def parse_config(text: str) -> dict[str, str]:
    """A kernel's .config."""
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    return {name: value.strip('"') for name, sign, value in pairs if sign}


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
    found = [
        member
        for member in package_members(package, path.read_bytes(), place=_placer(layout))
        if member.name != itself and _is_read(member, other, arches)
    ]
    return sorted(found, key=lambda member: (member.name not in first, member.name))


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
    """One request from standard input: answers on standard output; on an error, on standard error, with 1."""
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
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(asdict(facts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
