"""How kmodci answers where kernel-crawler has weaknesses: each makes a repository of the real tools, and looks at it.

All take an empty folder, and say the answer in words.
"""

import json
from base64 import b64encode
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kmodci.discovery import kernels_of, look
from kmodci.distros import DISTROS, Place
from kmodci.fetch import Fetcher
from kmodci.kernellist import kernel_list
from kmodci.model import Kernel
from kmodci.repos.apt import AptIndex
from kmodci.repos.crawler import CrawlerIndex
from kmodci.repos.listed import group_of

from .aptrepo import AptRepo, kernel_packages, make_deb
from .caserepos import after, apt, debian, fault, listing, looked, releases, told
from .webserver import WebServer, status

# nothing listens there (RFC 863, discard)
_NOWHERE = "http://127.0.0.1:9"
_ARCHES = ("amd64", "arm64")


def unreachable_mirror(folder: Path) -> str:
    with debian(folder, "6.1.0-98-amd64", "6.1.0-99-amd64") as repo:
        return told(looked(replace(apt(repo), mirrors=(_NOWHERE, repo.url))))


def busy_mirror(folder: Path) -> str:
    with debian(folder, "6.1.0-99-amd64") as repo:
        repo.server.misbehave("/dists/bookworm/InRelease", status(503))
        return told(look(apt(repo), Fetcher(backoff=0.01), now=datetime.now(UTC)))


def no_mirror(folder: Path) -> str:
    def stop(repo: AptRepo) -> None:
        repo.server.misbehave("/dists/bookworm/InRelease", *[status(503)] * 9)

    return after(folder, stop)


def emptied(folder: Path) -> str:
    def empty(repo: AptRepo) -> None:
        for deb in (repo.root / "pool").iterdir():
            deb.unlink()
        repo.publish()

    return after(folder, empty)


def odd_package(folder: Path) -> str:
    with debian(folder, *(f"6.1.0-{number}-amd64" for number in range(91, 97))) as repo:
        for deb in kernel_packages(folder / "rc", "6.14.0-1-amd64", version="6.14.0~rc1"):
            repo.add(deb)
        odd = repo.packages("amd64").replace("6.1.0-91-amd64", "6.1.0-$(id)-amd64")
        repo.publish(extra={"amd64": odd.partition("\n\n")[0] + "\n\n"})
        return told(looked(apt(repo)))


def arch_release(folder: Path) -> str:
    url = "https://archive.example.org/linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst"
    place = Place(distro="arch", series="rolling", repository="core", arches=("amd64",), compiler="gcc-16")
    return releases(kernels_of(group_of("linux", [(url, "")], ("amd64",)), DISTROS["arch"], place).kernels)


def ubuntu_flavours(folder: Path) -> str:
    kernels = (
        ("6.11.0-17-generic", "linux-hwe-6.11-headers-6.11.0-17", "6.11.0-17.17~24.04.2", "amd64", "main"),
        ("6.8.0-1015-azure-fde", "linux-azure-headers-6.8.0-1015", "6.8.0-1015.17", "amd64", "main"),
        ("6.8.0-31-generic-64k", "linux-headers-6.8.0-31", "6.8.0-31.31", "arm64", "main"),
        ("6.8.0-38-lowlatency", "linux-lowlatency-headers-6.8.0-38", "6.8.0-38.38", "amd64", "universe"),
    )
    with AptRepo(folder, suite="noble", components=("main", "universe")) as repo:
        for release, shared, version, arch, component in kernels:
            repo.add(make_deb(folder, shared, version=version), component)
            own, fields = f"linux-headers-{release}", {"Depends": shared}
            repo.add(make_deb(folder, own, version=version, arch=arch, fields=fields), component)
        repo.publish()
        index = AptIndex(suite="noble", components=repo.components, keyrings=(repo.keyring,))
        return releases(looked(replace(apt(repo), distro="ubuntu", index=index, compiler="gcc-13")).kernels)


def flatcar_release(folder: Path) -> str:
    config = b"# Linux/x86 6.6.30 Kernel Configuration\nCONFIG_X86_64=y\nCONFIG_MODULES=y\nCONFIG_GCC_VERSION=130200\n"
    entry = {"kernelrelease": "3185.0.0", "kernelversion": "1", "kernelconfigdata": b64encode(config).decode()}
    (folder / "v6.x").mkdir()
    (folder / "v6.x/sha256sums.asc").write_text(f"{'a' * 64}  linux-6.6.30.tar.xz\n")
    with WebServer(folder) as kernel_org:
        index = CrawlerIndex(distribution="flatcar", kernel_org=kernel_org.url)
        where = listing(folder, [{**entry, "target": "flatcar"}], "amd64", "flatcar")
        return releases(looked(replace(where, index=index)).kernels)


def debian_release(folder: Path) -> str:
    return _of_debian(folder, "6.1.0-56-amd64", version="6.1.192-2")


def pages_of_16k(folder: Path) -> str:
    return _of_debian(folder, "6.12.117-arm64", "6.12.117-arm64-16k")


def release_candidate(folder: Path) -> str:
    return _of_debian(folder, "7.3-amd64", version="7.3~rc7-1~exp1")


def real_time(folder: Path) -> str:
    return _of_debian(folder, "7.2.13-rt-amd64")


def kbuild_of_two_suites(folder: Path) -> str:
    with ExitStack() as stack:
        suites = {
            "bookworm": ("6.1.0-50-amd64", "6.1.176-1"),
            "bullseye": ("6.1.0-0.deb11.50-amd64", "6.1.180-1~deb11u1"),
        }
        kernels: list[Kernel] = []
        for suite, (release, version) in suites.items():
            repo = stack.enter_context(AptRepo(folder / suite, suite=suite, arches=("amd64",)))
            for deb in kernel_packages(folder / f"{suite}-debs", release, version=version):
                repo.add(deb)
            repo.publish()
            kernels += looked(apt(repo)).kernels
        own = sum(len({package.version for package in kernel.headers}) == 1 for kernel in kernels)
        urls = [package.url for kernel in kernels for package in kernel.headers]
        there = sum(bool(Fetcher(retries=0).get(url, limit=1 << 20)) for url in urls)
    return f"its own suite's for {own} of {len(kernels)} kernels; {there} of {len(urls)} URLs exist"


def own_list(folder: Path) -> str:
    base, arch = "http://mirror.example.org", "arm64"
    own = [f"{base}/linux-headers-6.1.0-50-{flavour}_6.1.176-1_{arch}.deb" for flavour in (arch, "arm64-16k")]
    others = [
        f"{base}/linux-headers-6.1.0-50-common_6.1.176-1_all.deb",
        f"{base}/linux-kbuild-6.1_6.1.180-1~deb11u1_amd64.deb",
    ]
    entry = {"kernelrelease": "6.1.176-1-arm64", "kernelversion": "1", "target": "debian", "headers": [*others, *own]}
    return told(looked(listing(folder, [entry], arch)))


def two_runs(folder: Path) -> str:
    with debian(folder, "6.1.0-98-amd64", "6.1.0-99-amd64", "6.1.0-99-rt-amd64") as repo:
        first = kernel_list(looked(apt(repo)).kernels, "amd64")
        repo.publish(valid_for=None)
        second = kernel_list(looked(apt(repo)).kernels, "amd64")
    entries = json.loads(first)["debian"]
    turned = [{**entry, "headers": entry["headers"][::-1]} for entry in reversed(entries)]
    third = kernel_list(looked(listing(folder, turned, "amd64")).kernels, "amd64")
    same = "the same" if first == second == third else "others"
    return f"{len(entries)} entries, {same}, byte for byte; also of a list in another order"


def both_architectures(folder: Path) -> str:
    with debian(folder, "6.1.0-99-amd64", "6.1.0-99-arm64") as repo:
        found = [looked(replace(apt(repo), arches=(arch,))).kernels for arch in _ARCHES]
    return "; then ".join(map(releases, found))


def changed_index(folder: Path) -> str:
    with debian(folder, "6.1.0-99-amd64") as repo:
        path = repo.dist / "InRelease"
        path.write_bytes(path.read_bytes().replace(b"Label: Test", b"Label: Evil"))
        said, words = fault(lambda: looked(apt(repo))), "the signature is wrong"
        # around it stand an address and the name of a key
        return f"an error: {words}" if words in said else said or "taken"


def without_listings(folder: Path) -> str:
    with debian(folder, "6.1.0-99-amd64") as repo:
        found = looked(apt(repo))
        asked = sum(path.endswith("/") for path in repo.requests)
    return f"{told(found)}; {asked} listings asked for"


def warm(folder: Path) -> str:
    with debian(folder, "6.1.0-99-amd64") as repo:
        first = looked(apt(repo))
        cold = len(repo.requests)
        repo.requests.clear()
        looked(apt(repo), first.release_digest)
        return f"{len(repo.requests)} instead of {cold}, for the signed release file"


def _of_debian(folder: Path, *kernels: str, version: str = "6.1.199-1") -> str:
    with debian(folder, *kernels, version=version) as repo:
        return releases(looked(apt(repo)).kernels)
