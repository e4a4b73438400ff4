"""Kernels of kernel-crawler's lists that have a configuration instead of header packages: their source is kernel.org's.

A list has neither the URL nor the SHA256 of the source; kernel.org has the SHA256s in a file beside the tarballs
(https://www.kernel.org/category/signatures.html), which is read for each series of releases that is asked for.
"""

import re
from collections.abc import Mapping

from kmodci.errors import Gone, IndexDamaged
from kmodci.kernelconfig import plain_config, version_of
from kmodci.release import BadName

from .base import Group, Reads
from .crawlerlist import Entry
from .sources import SourceKernel, source_packages

_SUMS_LIMIT = 16 << 20
_SUM = re.compile(r"([0-9a-f]{64}) [ *](linux-[0-9.]+\.tar\.xz)")
_VERSION = re.compile(r"([0-9]+)\.([0-9]+)\.([0-9]+)(?![0-9.])")


class KernelOrg:
    """What kernel.org, or a mirror of it, has; read when it is first asked for."""

    def __init__(self, fetcher: Reads, base: str) -> None:
        """base: the URL of pub/linux/kernel there."""
        self._fetcher = fetcher
        self._base = base.rstrip("/")
        self._sums: dict[str, Mapping[str, str]] = {}

    def source(self, version: str) -> tuple[str, str]:
        """URL and SHA256 of the tarball of `6.12.59`. Raises BadName for a version that is none, or that it lacks;
        FetchError."""
        found = _VERSION.fullmatch(version)
        if not found:
            raise BadName(f"not a version of Linux: {version[:40]!r}")
        folder = f"{self._base}/v{found[1]}.x"
        # 6.12.0 to itself is 6.12 to the world
        name = f"linux-{version.removesuffix('.0')}.tar.xz"
        if folder not in self._sums:
            self._sums[folder] = self._read(f"{folder}/sha256sums.asc")
        if name not in self._sums[folder]:
            raise BadName(f"{folder} has no {name}")
        return f"{folder}/{name}", self._sums[folder][name]

    def _read(self, url: str) -> dict[str, str]:
        try:
            text = self._fetcher.get(url, limit=_SUMS_LIMIT).decode("utf-8", "replace")
        except Gone:
            return {}
        matches = (_SUM.fullmatch(line) for line in text.splitlines())
        return {found[2]: found[1] for found in matches if found}


def source_group(entry: Entry, distribution: str, arch: str, place: str, kernel_org: KernelOrg) -> Group:
    """place: of the list. Raises BadName and IndexDamaged for what is odd about the entry; FetchError."""
    config = plain_config(entry.config.encode(), entry.title)
    release, version, number = _named(entry, distribution, version_of(config.decode("utf-8", "replace")))
    url, sha256 = kernel_org.source(number)
    kernel = SourceKernel(release=release, version=version, tarball=url, sha256=sha256, config=place)
    packages = tuple(source_packages(kernel, config))
    if packages[0].arch != arch:
        raise IndexDamaged(f"{entry.title}: its configuration is for {packages[0].arch}")
    return Group(title=entry.title, packages=packages, arches=(arch,))


def _named(entry: Entry, distribution: str, number: str) -> tuple[str, str, str]:
    """What `uname -r` prints, the vendor's own number, and the version of Linux. number: by the configuration.

    The kernelrelease of Flatcar's entries is the version of the system (kernel_crawler/flatcar.py).
    """
    if distribution == "flatcar":
        return f"{number}-flatcar", entry.release, number
    found = _VERSION.match(entry.release)
    return entry.release, entry.version, found[0] if found else number
