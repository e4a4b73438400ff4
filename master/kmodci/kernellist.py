"""Our kernels as a list of kernel-crawler's, for the tools that read such lists (`repos.crawlerlist`).

What the tools of Falco expect of one (driverkit's configuration, falcoctl's look-up): kernelrelease is what `uname -r`
prints, kernelversion the number after the `#` of `uname -v`, target what driverkit calls the distribution, for Ubuntu
with the flavour that the release ends with. The lists that kernel-crawler itself makes differ from that for Debian,
Arch, openSUSE and Ubuntu's HWE kernels: they have package versions and names of sources there.
"""

import json
from collections.abc import Iterable

from .model import Kernel
from .release import version_key
from .repos.crawlerlist import list_name


def kernel_list(kernels: Iterable[Kernel], arch: str) -> bytes:
    """The document of one architecture; the same kernels are the same bytes."""
    found: dict[str, dict[tuple[str, str, str], list[str]]] = {}
    for kernel in kernels:
        if kernel.target.arch == arch:
            name = list_name(kernel.target.distro, kernel.target.series)
            entries = found.setdefault(name, {})
            entry = (_target(kernel, name), kernel.release, kernel_version(kernel))
            headers = sorted(package.url for package in kernel.headers)
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
