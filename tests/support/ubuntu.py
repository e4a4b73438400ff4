"""Real headers of Debian, packed as Ubuntu packs its own: a package for all flavours, and one per flavour.

After debian/rules.d/2-binary-arch.mk and 3-binary-indep.mk of Ubuntu's kernels: the package of a flavour has what `make
O=` writes for its configuration, a Makefile that names the compiler by its version, and links to the other package.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.aptrepo import build_deb

from .headertrees import flat_tree
from .realkernels import RealKernel

_OWN = (".config", "Module.symvers", "scripts/module.lds", "include/config/*", "include/generated/*")
_GENERATED = re.compile(r"arch/[^/]+/include/generated/.*")
_PROGRAM = b"\x7fELF"


def ubuntu_packages(
    kernel: RealKernel, folder: Path, release: str, *, version: str, shared: str, compiler: str
) -> list[Path]:
    """The pair of packages of a kernel that calls itself by that release.

    shared: the name of the one for all flavours: `linux-hwe-6.11-headers-6.11.0-17`; compiler: the text of the
    kernel's configuration: `x86_64-linux-gnu-gcc-13 (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0`.
    """
    folder.mkdir(parents=True)
    source = shared.partition("-headers-")[0]
    root, own_root = folder / "shared", folder / "own"
    common, own = root / "usr/src" / shared, own_root / f"usr/src/linux-headers-{release}"
    own.mkdir(parents=True)
    common.parent.mkdir(parents=True)
    flat_tree(kernel, common, release, compiler=compiler)
    (common / ".kernelvariables").unlink()
    for path in list(_files(common)):
        if _is_own(path, path.relative_to(common)):
            goal = own / path.relative_to(common)
            goal.parent.mkdir(parents=True, exist_ok=True)
            path.rename(goal)
    _name_compiler(common / "Makefile", own / "Makefile", compiler)
    _link(common, own)
    (own / "rust").symlink_to(f"../{source}-lib-rust-{release}/rust")
    build = own_root / f"lib/modules/{release}/build"
    build.parent.mkdir(parents=True)
    build.symlink_to(f"/usr/src/{own.name}")
    fields = {"Source": source, "Maintainer": "Ubuntu Kernel Team <kernel-team@lists.ubuntu.com>", "Version": version}
    depends = {"Depends": f"{shared}, libc6 (>= 2.38)", "Provides": "linux-headers, linux-headers-3.0"}
    return [
        build_deb(folder, root, {"Package": shared, "Architecture": "all", **fields}, compression="zstd"),
        build_deb(
            folder, own_root, {"Package": own.name, "Architecture": "amd64", **fields, **depends}, compression="zstd"
        ),
    ]


def _files(tree: Path) -> Iterator[Path]:
    return (path for path in sorted(tree.rglob("*")) if not path.is_dir() and not path.is_symlink())


def _is_own(path: Path, name: Path) -> bool:
    with path.open("rb") as file:
        is_program = file.read(4) == _PROGRAM
    listed = any(name.is_relative_to(each.removesuffix("/*")) for each in _OWN)
    return is_program or listed or _GENERATED.fullmatch(name.as_posix()) is not None


def _name_compiler(makefile: Path, own: Path, compiler: str) -> None:
    found = re.search(r"gcc-\d+", compiler)
    assert found, compiler
    text, count = re.subn(
        r"(?m)^(HOSTCC\t= |CC\t\t= \$\(CROSS_COMPILE\))gcc$", rf"\g<1>{found[0]}", makefile.read_text()
    )
    assert count == 2
    own.write_text(text)


def _link(common: Path, own: Path) -> None:
    """What the flavour's own tree lacks, by links to the topmost that it lacks (debian/scripts/link-headers)."""
    for path in _files(common):
        name = path.relative_to(common)
        missing = next((each for each in (*reversed(name.parents), name) if not os.path.lexists(own / each)), None)
        if missing is not None and not any((own / each).is_symlink() for each in missing.parents):
            (own / missing).symlink_to(Path(os.path.relpath(common.name, Path(own.name, missing.parent))) / missing)


def forget(folder: Path) -> None:
    """The trees, once the packages are made of them: 80 MB each."""
    for name in ("shared", "own"):
        shutil.rmtree(folder / name)
