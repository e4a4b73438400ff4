"""Repositories as the real tools make them: rpmbuild, createrepo_c, gpg; and ones that are damaged after."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm, make_rpm
from kmodci.fetch import Fetcher
from kmodci.repos.base import Dependency, Signed, Snapshot, Wanted
from kmodci.repos.rpm import RpmIndex

WANTED = Wanted(prefixes=("kernel-devel", "kernel-64k-devel"), arches=("amd64", "arm64"))
NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("packages")
    return [
        make_kernel_rpm(folder, "5.14.0", "503.el9"),
        make_kernel_rpm(
            folder, "5.14.0", "503.el9", arch="aarch64", uname="5.14.0-503.el9.aarch64+64k", name="kernel-64k-devel"
        ),
        make_rpm(
            folder, "kernel-devel-doc", "6.6~rc1^git2", "1", arch="noarch", epoch=2, requires=["kernel-devel >= 5"]
        ),
        make_rpm(folder, "bash", "5.1", "1"),
    ]


@pytest.fixture
def repo(tmp_path: Path, packages: list[Path]) -> Iterator[RpmRepo]:
    with RpmRepo(tmp_path) as made:
        for package in packages:
            made.add(package)
        yield made


def look(
    repo: RpmRepo, signed: Signed = Signed.NO, known: str = "", wanted: Wanted = WANTED, **more: object
) -> Snapshot:
    index = RpmIndex(path=repo.path, signed=signed, keyrings=(repo.keyring,))
    return index.look(Fetcher(retries=0), repo.url, wanted, known, NOW)


def names(snapshot: Snapshot) -> list[tuple[str, str, str]]:
    return sorted((each.name, each.version, each.arch) for each in snapshot.listed or ())


LISTED = [
    ("kernel-64k-devel", "5.14.0-503.el9", "arm64"),
    ("kernel-devel", "5.14.0-503.el9", "amd64"),
    ("kernel-devel-doc", "2:6.6~rc1^git2-1", "all"),
]


@pytest.mark.parametrize("database", [False, True])
@pytest.mark.parametrize("compression", ["gz", "xz", "zstd", "bz2"])
def test_every_form_of_the_index(repo: RpmRepo, compression: str, database: bool) -> None:
    repo.publish(compression=compression, database=database)
    if database:
        repo.without_xml()
    found = look(repo)
    assert names(found) == LISTED
    assert found.problems == ()
    kernel = next(each for each in found.listed or () if each.name == "kernel-devel")
    assert kernel.provides[-1] == Dependency(name="kernel-devel-uname-r", relation="=", version="5.14.0-503.el9.x86_64")
    assert (kernel.source, kernel.source_version) == ("kernel-devel", "5.14.0-503.el9")
    assert Fetcher().get(kernel.url, limit=kernel.size)[:4] == b"\xed\xab\xee\xdb"
