"""The lists of kernel-crawler (https://github.com/falcosecurity/kernel-crawler): one JSON document per architecture.

    {"<distribution>": [{"kernelrelease": ..., "kernelversion": ..., "target": ..., "headers": [URL, ...]}, ...], ...}

without checksums, sizes, package versions, series, or the number of a schema. Until October 2023 the distributions
were called otherwise (`AmazonLinux2`, today `amazonlinux2`), until July 2023 a kernelversion was a number. What
kernelrelease is depends on the distribution, and often is not what `uname -r` prints. So a kernel is what the names of
its header files say, and what its distribution makes of them; an entry only says which of them belong together.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from kmodci.errors import IndexDamaged
from kmodci.release import BadName

from .jsonlist import items_of

_MOST_ENTRIES = 100_000
_MOST_HEADERS = 64
# what the lists called them before, beside those that only had capitals
_FORMER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "aliyunlinux": "alinux",
        "archlinux": "arch",
        "oracle6": "ol",
        "oracle7": "ol",
        "oracle8": "ol",
        "oraclelinux": "ol",
        "photonos": "photon",
        "rockylinux": "rocky",
    }
)
# what they call differently from os-release, where our names are from
_OTHER_NAMES: Mapping[str, str] = MappingProxyType({"amzn": "amazonlinux", "rhel": "redhat"})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Entry:
    """A kernel as a list has it. Checked for its types; what the texts hold is not to be believed."""

    release: str
    version: str
    """kernelversion: the number after the `#` of `uname -v`, or what tells two configurations of a release apart"""
    headers: tuple[str, ...] = ()
    """URLs, each once, sorted: lists that are the same otherwise have them in another order every day"""
    config: str = ""
    """the configuration in base64 of a kernel that has no header packages (kernelconfigdata)"""

    @property
    def title(self) -> str:
        """For messages."""
        return f"{self.release[:80]!r} #{self.version[:40]!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelList:
    """What a document has of one distribution."""

    entries: tuple[Entry, ...]
    """sorted"""
    problems: tuple[str, ...] = ()
    """what is no entry, each with the reason"""


def list_name(distro: str, series: str) -> str:
    """What the lists call a distribution's series: amzn 2023 is `amazonlinux2023`, rhel 9 is `redhat`."""
    name = _OTHER_NAMES.get(distro, distro)
    return f"{name}{series}" if distro == "amzn" else name


def read_list(chunks: Iterable[bytes], distribution: str) -> KernelList:
    """Raises IndexDamaged for what is no such list, and for one without kernels of the distribution.

    kernel-crawler leaves out, without a word, a distribution that it could not read; it never lists one with no kernel.
    """
    names: list[str] = []

    def is_wanted(name: str) -> bool:
        names.append(name)
        return _today(name) == distribution

    entries: set[Entry] = set()
    problems: list[str] = []
    for number, item in enumerate(items_of(chunks, is_wanted), 1):
        if number > _MOST_ENTRIES:
            raise IndexDamaged(f"the list has more than {_MOST_ENTRIES} entries of {distribution}")
        try:
            entries.add(_entry(item))
        except BadName as fault:
            problems.append(f"entry {number}: {fault.brief}")
    if not entries:
        others = ", ".join(repr(name[:40]) for name in names[:40]) or "nothing"
        raise IndexDamaged(f"the list has no kernel of {distribution!r}; it has: {others}")
    return KernelList(entries=tuple(sorted(entries)), problems=tuple(problems))


def _today(name: str) -> str:
    lower = name.lower()
    return _FORMER_NAMES.get(lower, lower)


def _entry(item: object) -> Entry:
    """Raises BadName."""
    if not isinstance(item, dict):
        raise BadName(f"not a kernel: {str(item)[:80]!r}")
    release, version = item.get("kernelrelease"), item.get("kernelversion")
    headers, config = item.get("headers", []), item.get("kernelconfigdata", "")
    if not isinstance(release, str) or not isinstance(version, str | int):
        raise BadName(
            f"not a kernel: its kernelrelease is {str(release)[:80]!r}, its kernelversion {str(version)[:40]!r}"
        )
    if not isinstance(headers, list) or not all(isinstance(url, str) for url in headers) or not isinstance(config, str):
        raise BadName(f"{release[:80]!r}: its headers are no list of texts, or its kernelconfigdata is no text")
    if len(headers) > _MOST_HEADERS:
        raise BadName(f"{release[:80]!r}: {len(headers)} headers are too many")
    return Entry(release=release, version=str(version), headers=tuple(sorted(set(headers))), config=config)
