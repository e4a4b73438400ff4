"""What a doctor finds: what is wrong, where, and what to do about it. Pure: what was seen, judged."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from .quantities import age_text, size_text

_SOON, _NOW = 30 * 86400.0, 7 * 86400.0
"""seconds that a certificate is still good: worth knowing, and wrong"""
_DRIFT = 2.0
_FAR = 60.0
"""seconds that two clocks may differ: worth knowing, and wrong. Signatures of S3 are refused from 15 minutes on"""
_MIB = 1 << 20
FULL, TIGHT = 128 * _MIB, 2048 * _MIB
"""bytes: below the first no build is started (`paths`), below the second it is time to look"""
_FEW, _NONE = 0.1, 0.01
"""the part of a disk's inodes that is free: worth knowing, and wrong"""


class Level(StrEnum):
    """How bad it is; the worst first."""

    WRONG = "wrong"
    """something does not work, or is about to stop"""
    NOTE = "note"
    """worth knowing; nothing has to be done now"""
    GOOD = "good"


@dataclass(frozen=True, slots=True)
class Finding:
    """One. Never holds a secret: what is found of a secret's file is its name and who may read it."""

    level: Level
    what: str
    advice: str = ""
    """what to do"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one check came to."""

    part: str
    """engine, images, store, ..."""
    where: str
    """a host, a file, a source, an address"""
    findings: tuple[Finding, ...]
    seconds: float = 0.0

    @property
    def level(self) -> Level:
        return worst(finding.level for finding in self.findings)


def worst(levels: Iterable[Level]) -> Level:
    """Good if there are none."""
    return min(levels, key=list(Level).index, default=Level.GOOD)


def good(what: str) -> Finding:
    return Finding(Level.GOOD, what)


def note(what: str, advice: str = "") -> Finding:
    return Finding(Level.NOTE, what, advice)


def wrong(what: str, advice: str = "") -> Finding:
    return Finding(Level.WRONG, what, advice)


def of_certificate(whose: str, until: float, now: float, *, renew: str) -> Finding:
    """until: the last second that it is good; now: both since the epoch. renew: what to do in time."""
    left = until - now
    if left <= 0:
        return wrong(f"{whose} has expired {age_text(-left)} ago", renew)
    level = Level.WRONG if left < _NOW else Level.NOTE if left < _SOON else Level.GOOD
    return Finding(level, f"{whose} is good for {age_text(left)} more", "" if level is Level.GOOD else renew)


def of_clock(whose: str, theirs: float, asked: float, answered: float) -> Finding:
    """theirs: what that clock said between `asked` and `answered` of ours; seconds since the epoch.

    The header Date has no fractions of a second, so as much again is nobody's fault.
    """
    early, late = asked - 1.0, answered + 1.0
    off = max(early - theirs, theirs - late, 0.0)
    if off <= _DRIFT:
        return good(f"the clock of {whose} is as this machine's")
    way = "behind" if theirs < early else "ahead of"
    what = f"the clock of {whose} is {age_text(off)} {way} this machine's"
    advice = "set both by NTP (`timedatectl`): S3 refuses signatures, and mirrors' indices expire, by the clock"
    return Finding(Level.WRONG if off > _FAR else Level.NOTE, what, advice)


def of_disk(what: str, *, free: int, files: int, free_files: int) -> Finding:
    """free: bytes; files, free_files: inodes, 0 where a file system counts none."""
    told = f"{what} has {size_text(free)} free"
    room = "make room, or let the farm keep less (`retention:` in kmodci.yml; `kmodci gc`)"
    if free < FULL:
        return wrong(f"{told}: no build is started below {size_text(FULL)}", room)
    part = free_files / files if files else 1.0
    if part < _NONE:
        return wrong(
            f"{told}, but {free_files} of {files} inodes", "remove small files: `df -i` and `du --inodes` tell"
        )
    if free < TIGHT or part < _FEW:
        return note(f"{told}{f', and {part:.0%} of its inodes' if part < _FEW else ''}", room)
    return good(told)


def of_cache(name: str, size: int, limit: int) -> Finding:
    """Bytes. A cache may be larger for as long as it takes to look again."""
    told = f"the cache {name} has {size_text(size)} of {size_text(limit)}"
    if size > 2 * limit:
        return note(told, "a farm brings it back when it next adds to it; `retention.cache` in kmodci.yml is the limit")
    return good(told)


def of_sandbox(seen: Mapping[str, str], *, memory: int, processes: int) -> tuple[Finding, ...]:
    """What a container said of itself (`checkup.sandboxes`), against what a build is promised. memory: bytes."""
    if seen.get("end") != "yes":
        return (wrong("a sandbox started and did not say how it is", "try `docker run` with that image by hand"),)
    advice = "builds are somebody else's code: find out what of the engine's configuration overrides this"
    promises = (
        (seen.get("uid") == "65534", f"it runs as user {seen.get('uid')}, and not as nobody"),
        (seen.get("net") == "lo", f"it has a network: {seen.get('net')}"),
        (_is_zero(seen.get("caps")), f"it has capabilities: {seen.get('caps')}"),
        (seen.get("nnp") == "1", "it may gain privileges (no-new-privileges is off)"),
        (seen.get("root") == "read-only", "its root can be written to"),
        (seen.get("build") == "writable", "it cannot write to /build"),
        (seen.get("socket") == "none", "it sees a Docker socket"),
    )
    found = [wrong(f"a sandbox starts, but {what}", advice) for holds, what in promises if not holds]
    if seen.get("seccomp") != "2":
        found.append(note("a sandbox runs without seccomp", "let the engine have its own profile (`docker info`)"))
    limits = (("memory", seen.get("memory"), memory), ("processes", seen.get("pids"), processes))
    for name, there, due in limits:
        if there != str(due):
            what = f"a sandbox's limit of {name} is {there or 'unknown'}, and not {due}"
            found.append(wrong(what, "the engine's kernel or its user has no such limits: `docker info` warns of it"))
    return tuple(found) or (good("a sandbox starts, without network, capabilities and privileges, within its limits"),)


def _is_zero(mask: str | None) -> bool:
    return bool(mask) and not (mask or "").strip("0")


def of_image(tag: str, *, on: Iterable[str], in_bucket: bool | None, lacks: str) -> Finding:
    """A toolchain's. on: the hosts that have it; in_bucket: None where that is not known; lacks: what to do before one
    can be made, empty for nothing."""
    there = ", ".join(on)
    if in_bucket:
        return good(f"{tag} is in the bucket, and on {there or 'no host yet: a build loads it'}")
    if there and in_bucket is None:
        return good(f"{tag} is on {there}")
    if there:
        return note(f"{tag} is on {there}, and not in the bucket: another host would have to make it again")
    if not lacks:
        return good(f"{tag} is not made yet: the first build that needs it makes it, in some minutes")
    return wrong(f"{tag} is nowhere, and cannot be made here", lacks)


def of_pins(wanted: Mapping[str, str], there: Mapping[str, str]) -> tuple[Finding, ...]:
    """Versions of Python packages by name: those that were tested together, and those that are installed."""
    other = [
        f"{name} {there.get(name) or 'is missing'}{f', not {version}' if name in there else ''}"
        for name, version in wanted.items()
        if there.get(name) != version
    ]
    if not other:
        return (good(f"{len(wanted)} Python packages, each as pinned"),)
    more = f" and {len(other) - 3} more" if len(other) > 3 else ""
    advice = "install what was tested: `.venv/bin/pip install -e .` in the farm's folder, then restart it"
    missing = any(name not in there for name in wanted)
    return (Finding(Level.WRONG if missing else Level.NOTE, f"{'; '.join(other[:3])}{more}", advice),)
