"""Those of `caseruns` whose repositories are of rpm packages."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from kmodci.discovery import Look, Repository, merge
from kmodci.model import Kernel
from kmodci.repos.base import Signed
from kmodci.repos.rpm import RpmIndex

from .caserepos import looked, releases
from .rpmrepo import RpmRepo, make_kernel_rpm, make_rpm


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


def elrepo(folder: Path) -> str:
    def make() -> list[Path]:
        return [
            make_kernel_rpm(folder, "6.12.1", "1.el9.elrepo", name="kernel-ml-devel"),
            make_kernel_rpm(folder, "6.1.110", "1.el9.elrepo", name="kernel-lt-devel"),
        ]

    return _rpms(folder, "almalinux", make)


def oracle(folder: Path) -> str:
    with RpmRepo(folder, path="OL9/UEKR7/x86_64") as repo:
        repo.add(make_kernel_rpm(folder, "5.15.0", "312.187.5.3.el9uek", name="kernel-uek-devel"))
        repo.publish()
        found = _look(repo, "ol")
        return f"{releases(found.kernels)}; {len(repo.requests)} for the repository that it is in"


def fedora_updates(folder: Path) -> str:
    """Two repositories, as targets.yml has them: the updates, and the archive of what these have dropped."""
    kernels: list[Kernel] = []
    paths = {
        "updates/43/Everything/x86_64": ["300.fc43"],
        "fedora/43/x86_64": ["200.fc43", "300.fc43"],
    }
    with ExitStack() as stack:
        for number, (path, built) in enumerate(paths.items()):
            repo = stack.enter_context(RpmRepo(folder / str(number), path=path))
            for release in built:
                repo.add(make_kernel_rpm(folder, "6.17.1", release))
            repo.publish(compression="zstd")
            kernels += _look(repo, "fedora").kernels
    return releases(merge([kernels]))


def suse(folder: Path) -> str:
    def make() -> list[Path]:
        found = []
        for number, builds in ((21, 3), (22, 1), (23, 2)):
            release = f"150600.{number}"
            found.append(make_rpm(folder, "kernel-default-devel", "6.4.0", f"{release}.{builds}"))
            found.append(make_rpm(folder, "kernel-devel", "6.4.0", f"{release}.1", arch="noarch"))
        return found

    return _rpms(folder, "opensuse", make)


def _rpms(folder: Path, distro: str, make: Callable[[], list[Path]]) -> str:
    with RpmRepo(folder) as repo:
        for rpm in make():
            repo.add(rpm)
        repo.publish(compression="zstd")
        return releases(_look(repo, distro).kernels)


def _look(repo: RpmRepo, distro: str) -> Look:
    return looked(
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
