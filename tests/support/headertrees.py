"""Real headers of Debian as other distributions pack them: one tree, under another kernel release.

What differs between distributions is where their packages put the tree, how it is split, and what they call the
kernel; what is in it is the kernel's own. So a Debian kernel's three packages, merged, stand for any of them.
"""

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from .kernelsource import KernelSource, put_tool_sources
from .realkernels import RealKernel, package_file

# links of Debian's from one of its packages to another
_LINKS = ("scripts", "tools", "certs", "Kbuild")


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder for trees and what is made of them, in memory where that can be, and temporary files as well.

    A tree has 13,000 files; to write and remove them all three times takes 2 s there, and 16 s on a disk.
    """
    memory = Path("/dev/shm")
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory(prefix="kmodci-", dir=memory if memory.is_dir() else None))
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def flat_tree(
    kernel: RealKernel,
    target: Path,
    release: str,
    *,
    compiler: str = "",
    host_tools: str = "",
    source: KernelSource | None = None,
) -> Path:
    """The kernel's headers as one self-contained tree at target, whose kernel calls itself by that release.

    compiler: what CONFIG_CC_VERSION_TEXT is to say instead of Debian's: `gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-5)`.
    host_tools: the architecture that its programs are for, if not ours: `arm64`, of trixie. source: of the kernel; its
    programs' sources are put in, which only Debian leaves out.
    """
    if host_tools:
        kernel = foreign(kernel, host_tools)
    with_parts = target.with_name(f"{target.name}.parts")
    own, common, kbuild = extracted(kernel, with_parts)
    shutil.copytree(common, target, symlinks=True, ignore=lambda folder, names: _links(Path(folder), names))
    shutil.copytree(
        own, target, symlinks=True, dirs_exist_ok=True, ignore=lambda folder, names: _links(Path(folder), names)
    )
    # the kernel's own Makefile only includes that of the common package, which stands here now
    shutil.copy2(common / "Makefile", target / "Makefile")
    shutil.copytree(kbuild, target, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(with_parts)
    if source:
        put_tool_sources(source, target)
    rename_kernel(target, release)
    if compiler:
        name_compiler(target, compiler)
    return target


def foreign(kernel: RealKernel, arch: str) -> RealKernel:
    """The kernel, of trixie, with its programs for another architecture: Debian has them for each."""
    *headers, kbuild = kernel.debs
    name = kbuild.name.partition("_")[0]
    return replace(kernel, debs=(*headers, package_file("trixie", name, arch, kernel.version)))


def split_trees(kernel: RealKernel, own: Path, sources: Path, release: str, *, compiler: str = "") -> None:
    """The same as two trees: of the kernel and of the sources that it shares, to which it refers as SUSE's do."""
    with_parts = own.with_name(f"{own.name}.parts")
    configured, common, kbuild = extracted(kernel, with_parts)
    for target, tree in ((own, configured), (sources, common)):
        shutil.copytree(tree, target, symlinks=True, ignore=lambda folder, names: _links(Path(folder), names))
        shutil.copytree(kbuild, target, symlinks=True, dirs_exist_ok=True)
    # scripts/mkmakefile writes this line
    (own / "Makefile").write_text(f"include {os.path.relpath(sources, own)}/Makefile\n")
    shutil.rmtree(with_parts)
    rename_kernel(own, release)
    if compiler:
        name_compiler(own, compiler)


def extracted(kernel: RealKernel, folder: Path) -> tuple[Path, Path, Path]:
    """The kernel's own headers, the common ones and its programs, as Debian's packages have them below a folder."""
    for deb in kernel.debs:
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run(["dpkg-deb", "-x", str(deb), str(folder)], check=True)
    [common] = folder.glob("usr/src/linux-headers-*-common*")
    [kbuild] = folder.glob("usr/lib/linux-kbuild-*")
    return folder / f"usr/src/linux-headers-{kernel.release}", common, kbuild


def own_files(kernel: RealKernel, *names: str) -> list[bytes]:
    """Files of the kernel's own headers: .config, Module.symvers."""
    tar = subprocess.run(["dpkg-deb", "--fsys-tarfile", str(kernel.debs[0])], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        files = (archive.extractfile(f"./usr/src/linux-headers-{kernel.release}/{name}") for name in names)
        return [file.read() for file in files if file]


def rename_kernel(own: Path, release: str) -> None:
    """Has a configured tree say another kernel release, and so every module that is built with it."""
    (own / "include/generated/utsrelease.h").write_text(f'#define UTS_RELEASE "{release}"\n')
    (own / "include/config/kernel.release").write_text(f"{release}\n")


def name_compiler(own: Path, text: str) -> None:
    """Has a configured tree say that its kernel was built with another compiler."""
    number = re.search(r" (\d+)\.(\d+)\.(\d+)", text)
    assert number, text
    version = f"{int(number[1])}{int(number[2]):02}{int(number[3]):02}"
    path = own / ".config"
    config = re.sub(r"(?m)^CONFIG_CC_VERSION_TEXT=.*$", f'CONFIG_CC_VERSION_TEXT="{text}"', path.read_text())
    path.write_text(re.sub(r"(?m)^CONFIG_GCC_VERSION=.*$", f"CONFIG_GCC_VERSION={version}", config))


def _links(folder: Path, names: list[str]) -> set[str]:
    return {name for name in names if name in _LINKS and (folder / name).is_symlink()}
