"""Makes a toolchain image's root file system out of a distribution's packages, with mmdebstrap.

Needs mmdebstrap, zstd and root (or user namespaces). mmdebstrap runs apt, so signatures and hashes are
checked by apt itself, against the keyring given. Packages of an image are set up by their own programs: for another
architecture than the machine's, that takes an emulator (qemu-user-static, by binfmt_misc).
"""

import contextlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import EngineError
from .images import CROSS_TRIPLETS, Recipe
from .repos.base import arch_of

# Where a container finds its mounts: they must exist, because its root file system is read-only.
MOUNT_POINTS = ("build", "in", "kmodci", "run/kmodci", "usr/lib/modules", "usr/src")

_LAST_LINES = 15
# Measured on gcc-12's image, two cores: 3 -> 146 MB in 1.1 s, 9 -> 131 MB in 4.9 s, 12 -> 130 MB in 12 s.
_ZSTD_LEVEL = "9"

# bullseye would be set up with /bin and /lib of its own, all others not; one layout for all means one
# set of mounts for all (https://wiki.debian.org/UsrMerge).
_MERGE_USR = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; test -e "$1/$d" || ln -s "usr/$d" "$1/$d"; done'
# Of bullseye's cross compiler 170 MB are debug information.
_STRIP = 'chroot "$1" find /usr/lib/gcc-cross -type f -name "cc1*" -exec strip --strip-debug {} +'
# mmdebstrap leaves the machine's own names and apt's sources in; neither is a build's business.
_CLEAN = 'rm -f "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/*'


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteSource:
    """One suite on a mirror, as apt is told about it."""

    url: str
    """base URL of the mirror"""
    suite: str
    components: tuple[str, ...] = ("main",)
    keyring: Path
    check_valid_until: bool = True

    def apt_line(self) -> str:
        """The line of a sources.list(5)."""
        options = f"signed-by={self.keyring}" + ("" if self.check_valid_until else " check-valid-until=no")
        return f"deb [{options}] {self.url} {self.suite} {' '.join(self.components)}"


def command(recipe: Recipe, mirrors: Sequence[SuiteSource], archive: Path) -> list[str]:
    """mmdebstrap's argument list, for an image."""
    mount_points = " ".join(f'"$1"/{shlex.quote(path)}' for path in MOUNT_POINTS)
    has_cross = any(package.endswith(tuple(CROSS_TRIPLETS.values())) for package in recipe.packages)
    return [
        "mmdebstrap",
        "--variant=essential",
        f"--architectures={recipe.arch}",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Retries "3"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.excluded),
        f"--setup-hook={_MERGE_USR}",
        *([f"--customize-hook={_STRIP}"] if has_cross else []),
        f"--customize-hook={_CLEAN}",
        f"--customize-hook=mkdir -p {mount_points}",
        recipe.series,
        str(archive),
        *(mirror.apt_line() for mirror in mirrors),
    ]


def extraction(recipe: Recipe, mirrors: Sequence[SuiteSource], archive: Path) -> list[str]:
    """mmdebstrap's argument list for packages that are unpacked, and not set up: nothing of them is run."""
    return [
        "mmdebstrap",
        # as any user, without a chroot
        "--mode=chrootless",
        "--variant=extract",
        f"--architectures={recipe.arch}",
        f"--include={','.join(recipe.packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Retries "3"',
        recipe.series,
        str(archive),
        *(mirror.apt_line() for mirror in mirrors),
    ]


def bootstrap(recipe: Recipe, *, mirrors: Sequence[SuiteSource], target: Path, log: Callable[[str], None]) -> Path:
    """Writes the root file system to `target` (a `.tar.zst`), all of it or nothing, and returns it.

    log: called with every line that mmdebstrap says. Takes about 30 s and 1 GB in the temporary folder; emulated,
    minutes. Raises EngineError with mmdebstrap's last lines.
    """
    return _made(recipe, lambda archive: command(recipe, mirrors, archive), target, log)


def extract(recipe: Recipe, *, mirrors: Sequence[SuiteSource], target: Path) -> Path:
    """The same for packages that are but unpacked, with what they depend on (a `.tar`)."""
    return _made(recipe, lambda archive: extraction(recipe, mirrors, archive), target, lambda _: None)


def _made(recipe: Recipe, arguments: Callable[[Path], list[str]], target: Path, log: Callable[[str], None]) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{recipe.name}-") as folder:
        archive = Path(folder, "root").with_suffix("".join(target.suffixes[-2:]))
        said: deque[str] = deque(maxlen=_LAST_LINES)
        with _run(arguments(archive)) as process:
            for line in _lines(process):
                said.append(line)
                log(line)
        if process.returncode != 0 or not archive.exists():
            raise EngineError(
                f"{recipe.name} could not be made of {recipe.distro} {recipe.series}: "
                f"mmdebstrap ended with {process.returncode}:\n" + "\n".join(f"  {line}" for line in said),
                hint=_hint(recipe),
            )
        archive.replace(target)
    return target


def _hint(recipe: Recipe) -> str:
    if lacking := lacks(recipe.arch):
        return f"{recipe.arch} packages are set up by their own programs, and this machine cannot run these: {lacking}"
    return "its last lines say why; usual causes are a mirror that cannot be reached and a suite that lags"


def lacks(arch: str) -> str:
    """How to install what this machine lacks for making images of that architecture; empty for nothing."""
    if shutil.which("mmdebstrap") is None:
        return "apt-get install mmdebstrap zstd debian-archive-keyring"
    if arch_of(platform.machine()) != arch and not is_emulated(arch):
        return "apt-get install qemu-user-static binfmt-support arch-test"
    return ""


def is_emulated(arch: str) -> bool:
    """Whether this machine starts programs of another architecture by itself (binfmt_misc), as mmdebstrap asks."""
    try:
        return subprocess.run(["arch-test", arch], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _run(arguments: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The running command; ended, with its own clean-up, when the caller gives up."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "ZSTD_CLEVEL": _ZSTD_LEVEL, "ZSTD_NBTHREADS": "0"}
    try:
        process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env=environment,
        )
    except FileNotFoundError as error:
        raise EngineError(
            "mmdebstrap is not installed, and toolchain images are made with it",
            hint="apt-get install mmdebstrap zstd debian-archive-keyring",
        ) from error
    with process:
        try:
            yield process
        except BaseException:
            # it unmounts and removes what it made, which takes a moment
            process.terminate()
            process.communicate()
            raise


def _lines(process: subprocess.Popen[str]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.rstrip()
