"""Header packages of a real repository on loopback, with a real store and bucket: which may be used, and which not."""

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
from kmodci.errors import IndexDamaged, KmodciError
from kmodci.fetch import Fetcher
from kmodci.ingredients import Ingredients
from kmodci.model import Kernel
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
