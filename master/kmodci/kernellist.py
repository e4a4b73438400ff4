"""Our kernels as a list of kernel-crawler's, for the tools that read such lists (`repos.crawlerlist`).

What the tools of Falco expect of one (driverkit's configuration, falcoctl's look-up): kernelrelease is what `uname -r`
prints, kernelversion the number after the `#` of `uname -v`, target what driverkit calls the distribution, for Ubuntu
with the flavour that the release ends with. The lists that kernel-crawler itself makes differ from that for Debian,
Arch, openSUSE and Ubuntu's HWE kernels: they have package versions and names of sources there.
"""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from .model import Kernel
from .release import version_key
from .repos.crawlerlist import list_name
from .repos.mirrored import MirroredFile

_NO_BASES: Mapping[str, str] = MappingProxyType({})


def kernel_list(kernels: Iterable[Kernel], arch: str, bases: Mapping[str, str] = _NO_BASES) -> bytes:
    """The document of one architecture; the same kernels are the same bytes.

    Without those that are gone: who reads the list downloads what it names, and no repository has these any more.
    bases: of each repository that a list of mirrors leads to, a mirror: its packages have no URL of their own.
    """
    found: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for kernel in kernels:
        if kernel.target.arch == arch and not kernel.gone and (headers := _urls(kernel, bases)):
            name = list_name(kernel.target.distro, kernel.target.series)
            entries = found.setdefault(name, {})
            entry = (_target(kernel, name), kernel.release, kernel_version(kernel))
            # two series may have the very same kernel
            entries[entry] = min(entries.get(entry, headers), headers)
    document = {
        name: [
            {"kernelversion": version, "kernelrelease": release, "target": target, "headers": headers}
            for (target, release, version), headers in sorted(entries.items(), key=_order)
        ]
        for name, entries in sorted(found.items())
    }
    return (json.dumps(document, indent=1) + "\n").encode()


def _urls(kernel: Kernel, bases: Mapping[str, str]) -> list[str]:
    """Where its header packages are; empty where no mirror is known that has them, and where there are none."""
    found: list[str] = []
    if kernel.is_source:
        return found
    for package in kernel.headers:
        file = MirroredFile.parse(package.url)
        if file and kernel.repository not in bases:
            return []
        found.append(file.at(bases[kernel.repository]) if file else package.url)
    return sorted(found)


def kernel_version(kernel: Kernel) -> str:
    """The number after the `#` of `uname -v`.

    Ubuntu's is that of the upload, which is the end of the package's version (`6.11.0-17.17~24.04.2` of the release
    `6.11.0-17-generic`); Oracle's UEK is built as #2; others are built anew for each release.
    """
    if kernel.target.distro == "ubuntu":
        abi = kernel.release.removesuffix(f"-{kernel.flavour}")
        return kernel.version.removeprefix(f"{abi}.")
    return "2" if "uek" in kernel.release else "1"


def _target(kernel: Kernel, name: str) -> str:
    return f"ubuntu-{kernel.flavour}" if kernel.target.distro == "ubuntu" else name


def _order(item: tuple[tuple[str, str, str], list[str]]) -> tuple[object, ...]:
    (target, release, version), headers = item
    return target, version_key(release), version_key(version), headers
