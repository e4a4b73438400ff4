"""Header bundles: what a build needs of one kernel's header packages, in one archive named by its content.

Where things go: `usr/src/linux-headers-*` and `usr/lib/linux-kbuild-*` become top-level folders, with the
links between them rewritten, so that the bundle unpacks into /usr/src, which the Makefiles of the headers
name, and nowhere else. `<kernel's headers>/.config` and `Module.symvers` come first.

As a program it makes one bundle away from its caller's interpreter, because that costs seconds of CPU:
`python -m kmodci.headers` reads a request from standard input and answers with the facts, both JSON.
"""

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import IndexDamaged, KmodciError
from .model import Package
from .release import check_release
from .repos.deb import deb_members
from .tarzst import Kind, Member, frame, read, replacing, write

_PLACES = re.compile(r"usr/(?:src/(?=linux-headers-)|lib/(?=linux-kbuild-))([0-9A-Za-z.+~_-]+(?:/.*)?)")
# the second place where linux-kbuild shows itself; it becomes a link to itself, and goes
_KBUILD_LINK = re.compile(r"usr/src/(linux-kbuild-[0-9A-Za-z.+~_-]+)")
_FIRST = (".config", "Module.symvers")
_ARCH = re.compile(r"linux-headers-[^/]+/arch/([^/]+)(?:/|$)")
# changes whenever what is kept of a package changes, so that no piece made by older code is used again
_PIECE = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """A header bundle, as made."""

    sha256: str
    size: int
    """bytes"""


def make_bundle(packages: Sequence[tuple[Package, Path]], target: Path, *, pieces: Path | None = None) -> BundleFacts:
    """The header packages, already downloaded, as one bundle at target. The kernel's own package is first.

    pieces: a folder to keep each package's part in; kernels share `-common` and `linux-kbuild`, and a
    part that is there already is not made again. Raises IndexDamaged.
    """
    (own_package, own_path), *others = packages
    own = _kept(own_package, own_path)
    if not any(member.name.endswith("/Module.symvers") for member in own):
        raise IndexDamaged(
            f"{own_package.name} {own_package.version}: no kernel's headers in it",
            hint="the first package must be the kernel's own; it holds .config and Module.symvers",
        )
    arches = frozenset(found[1] for member in own if (found := _ARCH.match(member.name)))
    frames = [frame(own), *(_piece(package, path, arches, pieces) for package, path in others)]
    facts = write(target, frames)
    return BundleFacts(sha256=facts.sha256, size=facts.size)


def kernel_facts(bundle: Path, release: str) -> tuple[dict[str, int], dict[str, str]]:
    """Of the kernel that the bundle is for: exported symbol -> CRC, and the options that are set.

    The CRC is 0 where the kernel was built without CONFIG_MODVERSIONS (Documentation/kbuild/modules.rst); options are
    without quotes (`CONFIG_MODULES` -> `y`). Both come first in a bundle, so little of it is read. Raises IndexDamaged.
    """
    folder = f"linux-headers-{check_release(release)}"
    found = read(bundle, [f"{folder}/{name}" for name in _FIRST])
    config, symvers = (found[f"{folder}/{name}"].decode("utf-8", "replace") for name in _FIRST)
    return parse_symvers(symvers), parse_config(config)


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


def _piece(package: Package, path: Path, arches: frozenset[str], pieces: Path | None) -> bytes:
    """A package's part of a bundle, made or remembered."""
    if pieces is None:
        return frame(_kept(package, path, arches))
    key = hashlib.sha256(json.dumps([_PIECE, package.sha256, sorted(arches)]).encode()).hexdigest()
    kept = pieces / f"{key}.zst"
    if not kept.exists():
        made = frame(_kept(package, path, arches))
        with replacing(kept) as file:
            file.write(made)
    return kept.read_bytes()


def _kept(package: Package, path: Path, arches: frozenset[str] = frozenset()) -> list[Member]:
    """What builds read of a package, the first to be read first. arches: of the kernel's tree; none: all."""
    found = [member for member in deb_members(package, path.read_bytes(), place=_place) if _is_read(member, arches)]
    return sorted(found, key=lambda member: (not member.name.endswith(_FIRST), member.name))


def _place(name: str) -> str:
    found = _PLACES.fullmatch(name) or _KBUILD_LINK.fullmatch(name)
    return found[1] if found else ""


def _is_read(member: Member, arches: frozenset[str]) -> bool:
    """False for other architectures, and for the empty files by which kbuild tells what changed since the last build.

    They are most of the files (6,000 of 6,900 in one package), and a clean build has no last one
    (scripts/basic/fixdep.c only ever looks at them through `$(wildcard)`).
    """
    if member.kind is Kind.FILE and not member.data and "/include/config/" in member.name:
        return False
    arch = _ARCH.match(member.name)
    is_arch = arch is not None and (member.kind is Kind.FOLDER or member.name.count("/") > 2)
    return not (arches and arch and is_arch and arch[1] not in arches)


def request(packages: Sequence[tuple[Package, Path]], target: Path, *, pieces: Path | None = None) -> str:
    """What to write to the standard input of `python -m kmodci.headers`."""
    return json.dumps(
        {
            "packages": [[asdict(package), str(path)] for package, path in packages],
            "target": str(target),
            "pieces": str(pieces) if pieces else None,
        }
    )


def main() -> int:
    """One request from standard input: answers on standard output; on an error, on standard error, with 1."""
    asked: Mapping[str, object] = json.load(sys.stdin)
    match asked:
        case {"packages": list(pairs), "target": str(target), "pieces": pieces}:
            packages = [(Package(**fields), Path(path)) for fields, path in pairs]
        case _:
            sys.stderr.write("not a request for a header bundle\n")
            return 2
    try:
        facts = make_bundle(packages, Path(target), pieces=Path(str(pieces)) if pieces else None)
    except KmodciError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(asdict(facts)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
