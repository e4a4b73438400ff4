"""Header packages of a real repository on loopback, with a real store and bucket: which may be used, and which not."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.aptrepo import Key
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm, sign_rpm
from kmodci.bucket import Bucket
from kmodci.discovery import Repository, look
from kmodci.engine import Engine
from kmodci.errors import BuildImpossible, HeadersUnusable, IndexDamaged, KmodciError
from kmodci.fetch import Fetcher
from kmodci.ingredients import Ingredients
from kmodci.model import Kernel, Package, PackageKind, Target
from kmodci.paths import Paths
from kmodci.preparing import Preparing
from kmodci.repos.base import Signed, Trust
from kmodci.repos.rpm import RpmIndex
from kmodci.sandbox import Limits
from kmodci.store import Store
from kmodci.supply import Supply
from support.s3 import bucket, s3

__all__ = ["bucket", "s3"]
pytestmark = pytest.mark.slow

NAME = "almalinux-9-amd64 baseos"
LIMITS = Limits(memory=1 << 30, disk=512 << 20, processes=512, seconds=120, output=1 << 20)


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[RpmRepo]:
    with RpmRepo(tmp_path / "repo") as made:
        yield made


@pytest.fixture
def supply(tmp_path: Path, bucket: Bucket, repo: RpmRepo) -> Supply:
    paths = Paths(tmp_path / "state")
    paths.state.mkdir()
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    fetcher, engine = Fetcher(retries=0), Engine("unix:///nowhere", farm="test")
    return Supply(
        paths=paths,
        store=store,
        bucket=bucket,
        fetcher=fetcher,
        engine=engine,
        recipes={},
        suites=lambda recipe: [],
        ingredients=Ingredients(
            fetcher=fetcher,
            store=store,
            tarballs=paths.cache("tarballs"),
            trust={NAME: Trust(signed=Signed.PACKAGES, keyrings=(repo.keyring,))},
        ),
        preparing=Preparing(engine=engine, paths=paths, bundle=lambda: tmp_path, limits=LIMITS),
        cache_limit=1 << 30,
    )


def listed(repo: RpmRepo, rpm: Path) -> Kernel:
    """The kernel that a package is, as a poll finds it."""
    repo.add(rpm)
    repo.publish()
    repository = Repository(
        name=NAME,
        distro="almalinux",
        series="9",
        arches=("amd64",),
        index=RpmIndex(path=repo.path, signed=Signed.PACKAGES, keyrings=(repo.keyring,)),
        mirrors=(repo.url,),
        compiler="gcc-11",
    )
    [kernel] = look(repository, Fetcher(), now=datetime.now(UTC)).kernels
    return kernel


def test_a_signed_package_becomes_a_bundle(supply: Supply, repo: RpmRepo, tmp_path: Path) -> None:
    kernel = listed(repo, sign_rpm(make_kernel_rpm(tmp_path, "5.14.0", "503.el9"), repo.key))
    bundle = supply.bundle(kernel)
    assert bundle.path.stat().st_size > 0
    repo.requests.clear()
    assert supply.bundle(kernel) == bundle
    # the signature vouches where the index has no hash: Koji has none
    unnamed = replace(kernel, headers=(replace(kernel.headers[0], sha256="", size=0),))
    assert supply.bundle(unnamed).sha256 == bundle.sha256
    assert repo.requests == [kernel.headers[0].url.removeprefix(repo.url)]


@pytest.mark.parametrize("signer", ["nobody", "a stranger"])
def test_a_package_that_the_vendor_did_not_sign(supply: Supply, repo: RpmRepo, tmp_path: Path, signer: str) -> None:
    rpm = make_kernel_rpm(tmp_path, "5.14.0", "503.el9")
    kernel = listed(repo, rpm if signer == "nobody" else sign_rpm(rpm, Key()))
    with pytest.raises(IndexDamaged, match=r"kernel-devel 5\.14\.0-503\.el9: .*(not signed|in none of the keyrings)"):
        supply.bundle(kernel)
    assert list(supply.paths.cache("headers").iterdir()) == []
    supply.ingredients = replace(supply.ingredients, trust={NAME: Trust(signed=Signed.NO)})
    assert supply.bundle(kernel).path.exists()


def test_a_repository_that_nobody_wrote_down(supply: Supply, repo: RpmRepo, tmp_path: Path) -> None:
    kernel = replace(listed(repo, make_kernel_rpm(tmp_path, "5.14.0", "503.el9")), repository="other")
    with pytest.raises(KmodciError, match=r"its repository, other, is not in targets\.yml"):
        supply.bundle(kernel)


SOURCE = Kernel(
    target=Target(distro="vanilla", series="test", arch="amd64"),
    release="6.1.7-y",
    version="1",
    flavour="y",
    toolchain="gcc-12",
    repository=NAME,
    headers=(
        Package(name="l", version="1", arch="amd64", url="", size=0, sha256="a" * 64, kind=PackageKind.SOURCE),
        Package(name="l", version="1", arch="amd64", url="/c", size=9, sha256="b" * 64, kind=PackageKind.CONFIG),
    ),
)


def from_source(repo: RpmRepo, content: bytes) -> Kernel:
    """A kernel whose source is this."""
    (repo.root / "linux.tar.xz").write_bytes(content)
    source = replace(SOURCE.headers[0], url=f"{repo.url}/linux.tar.xz", sha256=hashlib.sha256(content).hexdigest())
    return replace(SOURCE, headers=(source, SOURCE.headers[1]))


def test_a_source_with_another_hash(supply: Supply, repo: RpmRepo) -> None:
    kernel = from_source(repo, b"x")
    (repo.root / "linux.tar.xz").write_bytes(b"y")
    with pytest.raises(IndexDamaged, match=r"linux\.tar\.xz: SHA256"):
        supply.bundle(kernel)
    assert list(supply.paths.cache("tarballs").iterdir()) == []


def test_a_source_is_fetched_once_and_no_longer_kept_than_there_is_room(supply: Supply, repo: RpmRepo) -> None:
    """There is no image for its compiler, so that is all that is done."""
    kernel = from_source(repo, b"x" * 1000)
    supply.store.put_contents({"b" * 64: b"CONFIG_X=y"})
    for _ in range(2):
        with pytest.raises(HeadersUnusable, match=r"no headers for .*: no toolchain gcc-12 in targets\.yml"):
            supply.bundle(kernel)
    assert repo.requests == ["/linux.tar.xz"]
    [path] = supply.paths.cache("tarballs").iterdir()
    assert path.read_bytes() == b"x" * 1000
    os.utime(path, (0, 0))
    for number in range(8):
        (path.parent / f"{number}.tar").write_bytes(b"")
    supply.prune("tarballs")
    assert path.exists()
    supply.cache_limit = 999
    supply.prune("tarballs")
    assert not path.exists()


def test_a_configuration_that_is_not_in_the_database(supply: Supply, repo: RpmRepo) -> None:
    with pytest.raises(BuildImpossible, match="the configuration that was read at /c is not in the database any more"):
        supply.bundle(from_source(repo, b"x"))
