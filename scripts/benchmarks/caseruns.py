"""How kmodci answers where kernel-crawler has weaknesses: each makes a repository of the real tools, and looks at it.

All take an empty folder, and say the answer in words.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kmodci.discovery import Look, Repository, kernels_of, look
from kmodci.distros import DISTROS, Place
from kmodci.errors import KmodciError
from kmodci.fetch import Fetcher
from kmodci.kernellist import kernel_list
from kmodci.model import Kernel
from kmodci.repos.apt import AptIndex
from kmodci.repos.base import Signed
from kmodci.repos.crawler import CrawlerIndex
from kmodci.repos.listed import group_of
from kmodci.repos.rpm import RpmIndex
from kmodci.settings import load
from kmodci.store import Store
from kmodci.watch import Watch
from kmodci.where import packages, repositories

from .aptrepo import AptRepo, kernel_packages, make_deb
from .rpmrepo import RpmRepo, make_kernel_rpm, make_rpm
from .webserver import status

# nothing listens there (RFC 863, discard)
_NOWHERE = "http://127.0.0.1:9"
_ARCHES = ("amd64", "arm64")


def unreachable_mirror(folder: Path) -> str:
    with _debian(folder, "6.1.0-98-amd64", "6.1.0-99-amd64") as repo:
        return _told(_looked(replace(_apt(repo), mirrors=(_NOWHERE, repo.url))))


def no_mirror(folder: Path) -> str:
    def stop(repo: AptRepo) -> None:
        repo.server.misbehave("/dists/bookworm/InRelease", *[status(503)] * 9)

    return _after(folder, stop)


def emptied(folder: Path) -> str:
    def empty(repo: AptRepo) -> None:
        for deb in (repo.root / "pool").iterdir():
            deb.unlink()
        repo.publish()

    return _after(folder, empty)


def odd_package(folder: Path) -> str:
    with _debian(folder, *(f"6.1.0-{number}-amd64" for number in range(91, 97))) as repo:
        for deb in kernel_packages(folder / "rc", "6.14.0-1-amd64", version="6.14.0~rc1"):
            repo.add(deb)
        odd = repo.packages("amd64").replace("6.1.0-91-amd64", "6.1.0-$(id)-amd64")
        repo.publish(extra={"amd64": odd.partition("\n\n")[0] + "\n\n"})
        return _told(_looked(_apt(repo)))


def without_sqlite(folder: Path) -> str:
    return _rpms(folder, "almalinux", lambda: [make_kernel_rpm(folder, "5.14.0", "503.el9")])


def amazon_series(folder: Path) -> str:
    def make() -> list[Path]:
        return [
            make_kernel_rpm(folder, "6.1.79", "99.164.amzn2023"),
            make_kernel_rpm(folder, "6.12.58", "82.121.amzn2023", name="kernel6.12-devel"),
            make_kernel_rpm(folder, "6.18.8", "9.213.amzn2023", name="kernel6.18-devel"),
        ]

    return _rpms(folder, "amzn", make)


def red_hat_flavours(folder: Path) -> str:
    def make() -> list[Path]:
        names = ("kernel-devel", "kernel-64k-devel", "kernel-rt-devel")
        return [make_kernel_rpm(folder, "5.14.0", "503.el9", name=name, says_uname=False) for name in names]

    return _rpms(folder, "almalinux", make)


def suse(folder: Path) -> str:
    def make() -> list[Path]:
        found = []
        for number, builds in ((21, 3), (22, 1), (23, 2)):
            release = f"150600.{number}"
            found.append(make_rpm(folder, "kernel-default-devel", "6.4.0", f"{release}.{builds}"))
            found.append(make_rpm(folder, "kernel-devel", "6.4.0", f"{release}.1", arch="noarch"))
        return found

    return _rpms(folder, "opensuse", make)


def debian_release(folder: Path) -> str:
    with _debian(folder) as repo:
        for deb in kernel_packages(folder, "6.1.0-56-amd64", version="6.1.192-2"):
            repo.add(deb)
        repo.publish()
        return _releases(_looked(_apt(repo)).kernels)


def arch_release(folder: Path) -> str:
    url = "https://archive.example.org/linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst"
    place = Place(distro="arch", series="rolling", repository="core", arches=("amd64",), compiler="gcc-16")
    return _releases(kernels_of(group_of("linux", [(url, "")], ("amd64",)), DISTROS["arch"], place).kernels)


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
        return _releases(_looked(replace(_apt(repo), distro="ubuntu", index=index, compiler="gcc-13")).kernels)


def pages_of_16k(folder: Path) -> str:
    with _debian(folder, "6.12.117-arm64", "6.12.117-arm64-16k") as repo:
        return _releases(_looked(_apt(repo)).kernels)


def release_candidate(folder: Path) -> str:
    with _debian(folder) as repo:
        for deb in kernel_packages(folder, "7.3-amd64", version="7.3~rc7-1~exp1"):
            repo.add(deb)
        repo.publish()
        return _releases(_looked(_apt(repo)).kernels)


def real_time(folder: Path) -> str:
    with _debian(folder, "7.2.13-rt-amd64") as repo:
        return _releases(_looked(_apt(repo)).kernels)


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
            kernels += _looked(_apt(repo)).kernels
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
    return _told(_looked(_list(folder, [entry], arch)))


def two_runs(folder: Path) -> str:
    with _debian(folder, "6.1.0-98-amd64", "6.1.0-99-amd64", "6.1.0-99-rt-amd64") as repo:
        first = kernel_list(_looked(_apt(repo)).kernels, "amd64")
        repo.publish(valid_for=None)
        second = kernel_list(_looked(_apt(repo)).kernels, "amd64")
    entries = json.loads(first)["debian"]
    turned = [{**entry, "headers": entry["headers"][::-1]} for entry in reversed(entries)]
    third = kernel_list(_looked(_list(folder, turned, "amd64")).kernels, "amd64")
    same = "the same" if first == second == third else "others"
    return f"{len(entries)} entries, {same}, byte for byte; also of a list in another order"


def both_architectures(folder: Path) -> str:
    with _debian(folder, "6.1.0-99-amd64", "6.1.0-99-arm64") as repo:
        found = [_looked(replace(_apt(repo), arches=(arch,))).kernels for arch in _ARCHES]
    return "; then ".join(map(_releases, found))


def changed_index(folder: Path) -> str:
    with _debian(folder, "6.1.0-99-amd64") as repo:
        path = repo.dist / "InRelease"
        path.write_bytes(path.read_bytes().replace(b"Label: Test", b"Label: Evil"))
        said, words = _fault(lambda: _looked(_apt(repo))), "the signature is wrong"
        # around it stand an address and the name of a key
        return f"an error: {words}" if words in said else said or "taken"


def without_listings(folder: Path) -> str:
    with _debian(folder, "6.1.0-99-amd64") as repo:
        found = _looked(_apt(repo))
        asked = sum(path.endswith("/") for path in repo.requests)
    return f"{_told(found)}; {asked} listings asked for"


def warm(folder: Path) -> str:
    with _debian(folder, "6.1.0-99-amd64") as repo:
        first = _looked(_apt(repo))
        cold = len(repo.requests)
        repo.requests.clear()
        _looked(_apt(repo), first.release_digest)
        return f"{len(repo.requests)} instead of {cold}, for the signed release file"


def _debian(folder: Path, *releases: str) -> AptRepo:
    """A repository with these kernels."""
    repo = AptRepo(folder)
    for release in releases:
        for deb in kernel_packages(folder / "debs" / release, release):
            repo.add(deb)
    repo.publish()
    return repo


def _apt(repo: AptRepo) -> Repository:
    return Repository(
        name=f"{repo.suite} main",
        distro="debian",
        series=repo.suite,
        arches=repo.arches,
        index=AptIndex(suite=repo.suite, keyrings=(repo.keyring,)),
        mirrors=(repo.url,),
    )


def _list(folder: Path, entries: Sequence[Mapping[str, object]], arch: str) -> Repository:
    path = folder / "list.json"
    path.write_text(json.dumps({"debian": entries}))
    return Repository(
        name="list",
        distro="debian",
        series="bookworm",
        arches=(arch,),
        index=CrawlerIndex(distribution="debian"),
        mirrors=(str(path),),
        compiler="gcc-12",
    )


def _rpms(folder: Path, distro: str, make: Callable[[], list[Path]]) -> str:
    with RpmRepo(folder) as repo:
        for rpm in make():
            repo.add(rpm)
        repo.publish(compression="zstd")
        found = _looked(
            Repository(
                name="baseos",
                distro=distro,
                series="9",
                arches=("amd64",),
                index=RpmIndex(path=repo.path, signed=Signed.NO),
                mirrors=(repo.url,),
                compiler="gcc-11",
            )
        )
    return _releases(found.kernels)


def _looked(repository: Repository, known: str = "") -> Look:
    return look(repository, Fetcher(timeout=5, retries=0), known_digest=known, now=datetime.now(UTC))


def _after(folder: Path, change: Callable[[AptRepo], None]) -> str:
    """What a farm says and knows when something happened to a repository that had two kernels."""
    config = folder / "config"
    config.mkdir()
    with _debian(folder, "6.1.0-98-amd64", "6.1.0-99-amd64") as repo:
        files = {
            "kmodci": {},
            "known-failures": {"known_failures": []},
            "modules": {"modules": {"a": {"source": {"path": "a"}, "version": "1"}}},
            "targets": {
                "mirrors": {"debian": repo.url},
                "toolchains": {"gcc-12": {"distro": "debian", "series": "bookworm"}},
                "targets": [
                    {
                        "distro": "debian",
                        "series": "bookworm",
                        "arches": ["amd64"],
                        "repositories": [{"suite": "bookworm", "keyring": str(repo.keyring)}],
                    }
                ],
            },
        }
        for name, content in files.items():
            (config / f"{name}.yml").write_text(json.dumps(content))
        settings = load(config)
        scope = settings.find_scope()
        store = Store("sqlite://")
        store.create()
        watch = Watch(
            settings=settings,
            store=store,
            fetcher=Fetcher(retries=0),
            repositories=repositories(settings, scope),
            packages=packages(settings, scope),
        )
        [name] = watch.repositories
        watch.remember(watch.look(name))
        change(repo)
        said = "an error" if _fault(lambda: watch.look(name)) else "no error"
        return f"{said}; {len(store.kernels())} kernels are known as before"


def _fault(action: Callable[[], object]) -> str:
    """What went wrong; empty if nothing did."""
    try:
        action()
    except KmodciError as fault:
        return fault.brief
    return ""


def _told(found: Look) -> str:
    """`2 kernels`, `7 kernels, 1 problem told`"""
    problems = f", {len(found.problems)} problem{'s' if len(found.problems) > 1 else ''} told" if found.problems else ""
    return f"{len(found.kernels)} kernel{'s' if len(found.kernels) != 1 else ''}{problems}"


def _releases(kernels: tuple[Kernel, ...]) -> str:
    return ", ".join(sorted(kernel.release for kernel in kernels)) or "none"
