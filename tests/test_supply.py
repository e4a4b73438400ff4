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
from kmodci.model import Kernel
from kmodci.paths import Paths
from kmodci.repos.base import Signed, Trust
from kmodci.repos.rpm import RpmIndex
from kmodci.store import Store
from kmodci.supply import Bundle, Supply
from support.s3 import bucket, s3

__all__ = ["bucket", "s3"]
pytestmark = pytest.mark.slow

NAME = "almalinux-9-amd64 baseos"


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
    return Supply(
        paths=paths,
        store=store,
        bucket=bucket,
        fetcher=Fetcher(retries=0),
        engine=Engine("unix:///nowhere", farm="test"),
        recipes={},
        suites=lambda recipe: [],
        trust={NAME: Trust(signed=Signed.PACKAGES, keyrings=(repo.keyring,))},
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
    supply.trust = {NAME: Trust(signed=Signed.NO)}
    assert supply.bundle(kernel).path.exists()


def test_a_repository_that_nobody_wrote_down(supply: Supply, repo: RpmRepo, tmp_path: Path) -> None:
    kernel = replace(listed(repo, make_kernel_rpm(tmp_path, "5.14.0", "503.el9")), repository="other")
    with pytest.raises(KmodciError, match=r"its repository, other, is not in targets\.yml"):
        supply.bundle(kernel)


class TestWithoutChecksums:
    """Packages of a list that vouches for nothing."""

    @pytest.fixture
    def kernel(self, supply: Supply, repo: RpmRepo, tmp_path: Path) -> Kernel:
        kernel = listed(repo, make_kernel_rpm(tmp_path, "5.14.0", "503.el9"))
        supply.trust = {NAME: Trust(signed=Signed.NO)}
        return replace(kernel, headers=(replace(kernel.headers[0], sha256="", size=0),))

    def test_they_are_used_only_where_that_is_configured(self, supply: Supply, kernel: Kernel) -> None:
        for signed in (Signed.INDEX, Signed.PACKAGES):
            supply.trust = {NAME: Trust(signed=signed)}
            with pytest.raises(KmodciError):
                supply.bundle(kernel)
        supply.trust = {NAME: Trust(signed=Signed.NO)}
        assert supply.bundle(kernel).path.exists()

    def test_what_was_there_first_is_what_has_to_be_there(
        self, supply: Supply, repo: RpmRepo, kernel: Kernel, tmp_path: Path
    ) -> None:
        first = supply.bundle(kernel)
        forget(supply, kernel, first)
        assert supply.bundle(kernel) == first
        forget(supply, kernel, first)
        file = repo.root / kernel.headers[0].url.removeprefix(f"{repo.url}/")
        file.write_bytes(make_kernel_rpm(tmp_path / "other", "5.14.0", "503.el9", payload="xz").read_bytes())
        with pytest.raises(IndexDamaged, match=r"but it was [0-9a-f]{64} when it was first downloaded"):
            supply.bundle(kernel)
        assert list(supply.paths.cache("headers").iterdir()) == []

    def test_an_error_page_is_not_what_was_there_first(self, supply: Supply, repo: RpmRepo, kernel: Kernel) -> None:
        file = repo.root / kernel.headers[0].url.removeprefix(f"{repo.url}/")
        good = file.read_bytes()
        file.write_bytes(b"<html>200 OK: down for maintenance</html>")
        with pytest.raises(KmodciError, match="not a package of a format that is known"):
            supply.bundle(kernel)
        file.write_bytes(good)
        assert supply.bundle(kernel).path.exists()


def forget(supply: Supply, kernel: Kernel, bundle: Bundle) -> None:
    """As a cleanup does, once nothing names the bundle."""
    [found] = supply.bucket.list(f"headers/{bundle.sha256}")
    assert supply.drop_bundle(found, [kernel.headers_digest])
