"""The source of a kernel of Debian: a tarball such as kernel.org has them, out of Debian's `linux-source-*` package."""

import functools
import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .realkernels import RealKernel, package_file

# of the programs that kbuild runs, and of what they include: vendors leave these in their header packages
_TOOLS = ("mod", "basic", "genksyms", "include", "kallsyms.c", "recordmcount.*", "sign-file.c", "ssl-common.h")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSource:
    """A tarball, and what it is of."""

    version: str
    """`6.12.117`"""
    tarball: Path
    sha256: str


@functools.cache
def kernel_source(kernel: RealKernel, series: str) -> KernelSource:
    """The source that a kernel was built of, kept for later runs."""
    version = kernel.version.partition("-")[0]
    name = f"linux-source-{version.rpartition('.')[0]}"
    deb = package_file(series, name, "all", kernel.version)
    tarball = deb.with_name(f"{name}.tar.xz")
    if not tarball.exists():
        part = deb.with_name("part")
        command = 'dpkg-deb --fsys-tarfile "$0" | tar -xO "./usr/src/$1" >"$2"'
        subprocess.run(["bash", "-o", "pipefail", "-c", command, deb, tarball.name, part], check=True)
        part.rename(tarball)
    with tarball.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return KernelSource(version=version, tarball=tarball, sha256=sha256)


def put_tool_sources(source: KernelSource, tree: Path) -> None:
    """Puts the sources of the programs into a header tree's scripts/."""
    picked = source.tarball.with_name("tools.tar")
    if not picked.exists():
        part = source.tarball.with_name("tools.part")
        wanted = [f"*/scripts/{name}" for name in _TOOLS]
        command = 'f=$0; t=$1; shift; mkdir "$t.d"; tar -C "$t.d" -xf "$f" --wildcards --strip-components=1 "$@"'
        subprocess.run(
            ["bash", "-c", f'{command}; tar -C "$t.d" -cf "$t" .; rm -r "$t.d"', source.tarball, part, *wanted],
            check=True,
        )
        part.rename(picked)
    subprocess.run(["tar", "-C", tree, "-xf", picked], check=True)
