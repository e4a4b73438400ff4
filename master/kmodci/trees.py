"""Header bundles, unpacked: folders that containers mount read-only, so that no build spends its time on unpacking.

One folder per package, because kernels share `-common` and `linux-kbuild`. What is made here is never written again.
"""

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import zstandard

from .distros import layout_of
from .errors import KmodciError
from .model import BUILD_ARCH, Kernel

# changes whenever what is unpacked changes, so that no folder made by older code is used again
_FORMAT = "2"
_CHUNK = 1 << 20
_SIZE = "size"
# seconds; a folder that was asked for since may be mounted
_IN_USE = 2 * 3600
# where a kernel of another architecture than the machine's is built; also in workers/toolchain.bash
_TRIPLETS = {"arm64": "aarch64-linux-gnu-"}


def names(kernel: Kernel, bundle_sha256: str, runs_on: str = BUILD_ARCH) -> dict[str, str]:
    """The bundle's folders, one per package -> the folder of the cache that each is in.

    runs_on: the architecture of the machine that it is for; its kernel is `Kernel.on` it.
    """
    arch = kernel.target.arch
    native = [runs_on] if runs_on != BUILD_ARCH else []
    found: dict[str, str] = {}
    # a kernel from source has one folder, whatever that was made of
    for number, (package, tree) in enumerate(zip(kernel.headers, layout_of(kernel).trees, strict=not kernel.is_source)):
        # a kernel's own folder is of its bundle: it says which compiler
        # (and whether it is another compiler's than its machine's own)
        own = [bundle_sha256, *native] if number == 0 else [""]
        parts = [_FORMAT, package.identity, tree.folder, arch, *own]
        found[tree.folder] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
    return found


def is_there(cache: Path, key: str, name: str) -> bool:
    """Whether a folder is unpacked; it counts as used now."""
    try:
        os.utime(cache / key / _SIZE)
    except FileNotFoundError:
        return False
    return (cache / key / name).is_dir()


def unpack(
    bundle: Path,
    wanted: Mapping[str, str],
    cache: Path,
    *,
    kernel: Kernel,
    scratch: Path,
    runs_on: str = BUILD_ARCH,
) -> None:
    """Unpacks folders of a bundle. wanted: as `names` tells, but for those that are there.

    scratch: a folder on the same disk. Raises KmodciError if the bundle has no such folder.
    """
    with TemporaryDirectory(prefix="tree-", dir=scratch) as name:
        folder = Path(name)
        _extract(bundle, list(wanted), folder)
        own = folder / layout_of(kernel).own
        if own.is_dir() and runs_on != kernel.target.arch:
            _name_compiler(own, kernel.target.arch)
        for top, key in wanted.items():
            (folder / top).chmod(0o755)
            made = folder / key
            (made / top).parent.mkdir(mode=0o755, parents=True)
            (folder / top).rename(made / top)
            (made / _SIZE).write_text(str(_size(made)))
            # only ever what a removal left that was broken off
            shutil.rmtree(cache / key, ignore_errors=True)
            made.rename(cache / key)


def prune(cache: Path, limit: int) -> int:
    """Removes what was not used for the longest time, until the rest is within limit (bytes). Returns how many went.

    One at a time.
    """
    found = sorted((path.stat().st_mtime, int(path.read_text()), path.parent) for path in cache.glob(f"*/{_SIZE}"))
    total, gone = sum(size for _, size, _ in found), 0
    for used, size, folder in found:
        if total <= limit or used > time.time() - _IN_USE:
            break
        # without its size it counts as gone, however far the removal gets
        (folder / _SIZE).unlink()
        shutil.rmtree(folder, ignore_errors=True)
        total -= size
        gone += 1
    return gone


def _extract(bundle: Path, tops: list[str], folder: Path) -> None:
    """By `tar` and not by Python's, which takes five times as long for ten thousand files."""
    command = ["tar", "-x", "--no-same-owner", "--no-same-permissions", "-C", str(folder), *tops]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, umask=0o022) as tar:
        assert tar.stdin is not None and tar.stderr is not None  # asked for above
        try:
            with bundle.open("rb") as file:
                plain = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
                while chunk := plain.read(_CHUNK):
                    tar.stdin.write(chunk)
            tar.stdin.close()
        except (BrokenPipeError, zstandard.ZstdError) as error:
            tar.kill()
            raise KmodciError(f"{bundle}: cannot be unpacked: {error}") from error
        words = tar.stderr.read().decode(errors="replace").strip()
        if tar.wait() != 0:
            raise KmodciError(f"{bundle}: cannot be unpacked: {words[-300:]}")


def _name_compiler(own: Path, arch: str) -> None:
    """As build-module does where it may write: it says there why."""
    variables = own / ".kernelvariables"
    if arch in _TRIPLETS and variables.exists():
        with variables.open("a") as file:
            file.write(f"override CROSS_COMPILE = {_TRIPLETS[arch]}\n")


def _size(folder: Path) -> int:
    return sum(entry.lstat().st_blocks for entry in folder.rglob("*")) * 512
