"""This machine: the state folder and its disk, who may read what, programs and packages, ports."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from kmodci.errors import SecretUnusable
from kmodci.findings import Finding, good, note, of_cache, of_disk, of_pins, wrong
from kmodci.secretfile import check_private

_PYTHON = (3, 11)
_PROGRAMS: Mapping[str, str] = {
    "gpgv": "no signature of a repository can be checked without it",
    "git": "no module's source can be read from git without it",
    "zstd": "toolchain images are packed with it",
    "mmdebstrap": "toolchain images are made with it, where neither the engine nor the bucket has one",
}
_SECRETS = ("s3-credentials.json", "users.json", "tokens.json", "password")


def of_state(state: Path) -> Iterator[Finding]:
    """Whose it is, and who else may look into it."""
    if not state.exists():
        yield note(f"{state} is not there yet: the first start makes it")
        return
    about, user = state.stat(), os.geteuid()
    if about.st_uid != user:
        told = f"{state} belongs to user {about.st_uid}, and this is user {user}"
        yield note(told, "run doctor as the farm's own user: only then it sees what the farm sees")
    if not os.access(state, os.W_OK | os.X_OK):
        yield wrong(f"{state} cannot be written to by this user", "run it as the farm's user, or chown it to this one")
    if stat.S_IMODE(about.st_mode) & 0o022:
        yield wrong(f"{state} can be written to by others", f"chmod 700 {state}")
    yield good(f"{state} belongs to user {about.st_uid}")


def of_disk_of(state: Path) -> Iterator[Finding]:
    """Of the state folder, or of where it will be."""
    there = next(folder for folder in (state, *state.parents) if folder.exists())
    room = os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    yield of_disk(f"the disk of {state}", free=free, files=room.f_files, free_files=room.f_favail)


def of_caches(state: Path, limit: int) -> Iterator[Finding]:
    """limit: bytes, of each."""
    cache = state / "cache"
    folders = sorted(folder for folder in cache.iterdir() if folder.is_dir()) if cache.is_dir() else []
    for folder in folders:
        yield of_cache(folder.name, _size(folder), limit)
    if not folders:
        yield good("no cache yet")


def _size(folder: Path) -> int:
    """Bytes on disk; a file with several names counts once, and one that goes meanwhile not at all."""
    seen: dict[tuple[int, int], int] = {}
    for at, _, files in os.walk(folder):
        for name in files:
            try:
                about = os.lstat(Path(at) / name)
            except FileNotFoundError:
                continue
            seen[about.st_dev, about.st_ino] = about.st_blocks * 512
    return sum(seen.values())


def of_files(config: Path, state: Path, more: tuple[Path, ...]) -> Iterator[Finding]:
    """The configuration can be read and is not for others to write; secrets are their owner's. more: further secrets.

    Those that the configuration names are looked at when it is read, and make it unusable.
    """
    for path in sorted(config.glob("*.yml")):
        if path.stat().st_mode & stat.S_IWOTH:
            yield wrong(f"{path} can be written to by anybody", f"chmod o-w {path}: it says what is run as whom")
    secrets = {*(state / name for name in _SECRETS), *more}
    kept = 0
    for path in sorted(secrets):
        try:
            check_private(path)
            kept += 1
        except SecretUnusable as error:
            yield wrong(error.brief, error.hint)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield note(f"{path} cannot be looked at by this user: {error.strerror}")
    yield good(f"{kept} files with secrets of the farm's own, for their owner only")


def of_programs() -> Iterator[Finding]:
    """Python, and what the farm runs."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < _PYTHON:
        yield wrong(f"Python {version} is too old", "make .venv with Python 3.11 or newer")
    else:
        yield good(f"Python {version}")
    for program, why in _PROGRAMS.items():
        if (path := shutil.which(program)) is not None:
            yield good(path)
        else:
            # what an image is made with need not be where images come from a bucket
            finding = note if program == "mmdebstrap" else wrong
            yield finding(f"{program} is not installed: {why}", "run scripts/install-system as root")


def of_packages(requirements: Path) -> Iterator[Finding]:
    """What is installed against what is pinned."""
    lines = requirements.read_text().splitlines() if requirements.exists() else []
    pins = dict(line.strip().split("==", 1) for line in lines if "==" in line and not line.startswith("#"))
    there: dict[str, str] = {}
    for name in pins:
        try:
            there[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    yield from of_pins(pins, there)
