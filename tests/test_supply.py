"""Header packages of a real repository on loopback, with a real store and bucket: which may be used, and which not."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.aptrepo import Key, archive_key
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm, sign_rpm
from kmodci.bucket import Bucket
from kmodci.caches import Caches
from kmodci.discovery import Repository, look
from kmodci.downloads import Downloads
from kmodci.engines import engines_of
from kmodci.errors import BuildImpossible, Gone, HeadersUnusable, IndexDamaged, KmodciError
from kmodci.fallover import FallOver
from kmodci.fetch import Fetcher
from kmodci.imagesupply import ImageSupply
from kmodci.ingredients import Ingredients
from kmodci.model import Kernel, Package, PackageKind, Target
from kmodci.paths import Paths
from kmodci.preparing import Preparing
from kmodci.repos.base import Signed, Trust
from kmodci.repos.pacman import PacmanIndex
from kmodci.repos.rpm import RpmIndex
from kmodci.sandbox import Limits
from kmodci.schema import EngineAt
from kmodci.store import Store
from kmodci.supply import Bundle, Supply
from kmodci.watch import bundle_note
from support.pacmanrepo import PacmanRepo, headers_package
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
    downloads = Downloads(Fetcher(retries=0), FallOver())
    return Supply(
        paths=paths,
        store=store,
        bucket=bucket,
        downloads=downloads,
        images=ImageSupply(
            paths=paths,
            store=store,
            bucket=bucket,
            engines=engines_of({"local": EngineAt(docker_host="unix:///nowhere").host("local")}, farm="test"),
            recipes={},
            suites=lambda recipe: [],
        ),
        ingredients=Ingredients(
            downloads=downloads,
            store=store,
            tarballs=paths.cache("tarballs"),
            trust={NAME: Trust(signed=Signed.PACKAGES, keyrings=(repo.keyring,))},
        ),
        preparing=Preparing(paths=paths, bundle=lambda _: tmp_path, limits=LIMITS),
        caches=Caches(paths, 1 << 30),
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


def test_a_native_build_has_a_bundle_of_its_own_where_other_packages_are_for_it(
    supply: Supply, repo: RpmRepo, tmp_path: Path
) -> None:
    kernel = listed(repo, sign_rpm(make_kernel_rpm(tmp_path, "5.14.0", "503.el9"), repo.key))
    kernel = replace(kernel, target=replace(kernel.target, arch="arm64"))
    usual = supply.bundle(kernel)
    assert supply.bundle(kernel, "arm64") == usual, "nothing of it is for one kind of machine"
    other = sign_rpm(make_kernel_rpm(tmp_path / "native", "5.14.0", "503.el9", payload="zstd"), repo.key)
    url = f"{repo.url}/{repo.path}/native.rpm"
    (repo.folder / "native.rpm").write_bytes(other.read_bytes())
    data = hashlib.sha256(other.read_bytes()).hexdigest()
    instead = replace(kernel.headers[0], url=url, sha256=data, size=other.stat().st_size)
    kernel = replace(kernel, native=(instead,))
    repo.requests.clear()
    native = supply.bundle(kernel, "arm64")
    assert repo.requests == [url.removeprefix(repo.url)]
    assert supply.bundle(kernel) == usual
    assert repo.requests == [url.removeprefix(repo.url)]
    notes = {digest: supply.store.meta(bundle_note(digest)) for digest in kernel.headers_digests}
    assert list(notes.values()) == [usual.sha256, native.sha256]


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


class TestWithoutChecksums:
    """Packages of a list that vouches for nothing."""

    @pytest.fixture
    def kernel(self, supply: Supply, repo: RpmRepo, tmp_path: Path) -> Kernel:
        kernel = listed(repo, make_kernel_rpm(tmp_path, "5.14.0", "503.el9"))
        supply.ingredients = replace(supply.ingredients, trust={NAME: Trust(signed=Signed.NO)})
        return replace(kernel, headers=(replace(kernel.headers[0], sha256="", size=0),))

    def test_they_are_used_only_where_that_is_configured(self, supply: Supply, kernel: Kernel) -> None:
        for signed in (Signed.INDEX, Signed.PACKAGES):
            supply.ingredients = replace(supply.ingredients, trust={NAME: Trust(signed=signed)})
            with pytest.raises(KmodciError):
                supply.bundle(kernel)
        supply.ingredients = replace(supply.ingredients, trust={NAME: Trust(signed=Signed.NO)})
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


class TestPacman:
    """Arch's packages, whose signatures lie beside them."""

    NAME = "arch-rolling-amd64 core"

    @pytest.fixture
    def arch(self, tmp_path: Path, supply: Supply) -> Iterator[PacmanRepo]:
        supply.ingredients = replace(
            supply.ingredients, trust={self.NAME: Trust(signed=Signed.PACKAGES, keyrings=(archive_key().keyring,))}
        )
        with PacmanRepo(tmp_path / "arch", key=archive_key()) as made:
            made.add(headers_package(tmp_path, "linux-headers", "6.12.7.arch1-1", "6.12.7-arch1-1"))
            yield made

    @pytest.fixture
    def kernel(self, arch: PacmanRepo) -> Kernel:
        repository = Repository(
            name=self.NAME,
            distro="arch",
            series="rolling",
            arches=("amd64",),
            index=PacmanIndex(repository="core"),
            mirrors=(arch.url,),
            compiler="gcc-14",
        )
        [kernel] = look(repository, Fetcher(), now=datetime.now(UTC)).kernels
        return kernel

    def test_a_signed_package_becomes_a_bundle(self, supply: Supply, kernel: Kernel, arch: PacmanRepo) -> None:
        arch.server.requests.clear()
        assert supply.bundle(kernel).path.stat().st_size > 0
        path = kernel.headers[0].url.removeprefix(arch.url)
        assert arch.server.requests == [path, f"{path}.sig"]
        # what its headers were built with is known now
        assert supply.store.as_learned(kernel).toolchain == "gcc-15"

    def test_a_package_whose_signature_is_not_there(self, supply: Supply, kernel: Kernel, arch: PacmanRepo) -> None:
        [signature] = arch.folder.glob("linux-headers-*.sig")
        signature.unlink()
        with pytest.raises(Gone, match=r"x86_64\.pkg\.tar\.zst\.sig: the server answered 404"):
            supply.bundle(kernel)

    def test_a_package_that_somebody_else_signed(self, supply: Supply, kernel: Kernel, arch: PacmanRepo) -> None:
        [signature] = arch.folder.glob("linux-headers-*.sig")
        content = signature.with_name(signature.name.removesuffix(".sig")).read_bytes()
        signature.write_bytes(Key().sign_detached(content, "--no-armor"))
        with pytest.raises(IndexDamaged, match=r"linux-headers 6\.12\.7\.arch1-1: .*none of the keyrings"):
            supply.bundle(kernel)
        assert list(supply.paths.cache("headers").iterdir()) == []

    def test_another_package_than_the_database_names(self, supply: Supply, kernel: Kernel, arch: PacmanRepo) -> None:
        [package] = arch.folder.glob("linux-headers-*.zst")
        package.write_bytes(bytes(package.stat().st_size))
        with pytest.raises(IndexDamaged, match="but the index says"):
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
    supply.caches.prune("tarballs")
    assert path.exists()
    supply.caches.limit = 999
    supply.caches.prune("tarballs")
    assert not path.exists()


def test_a_configuration_that_is_not_in_the_database(supply: Supply, repo: RpmRepo) -> None:
    with pytest.raises(BuildImpossible, match="the configuration that was read at /c is not in the database any more"):
        supply.bundle(from_source(repo, b"x"))
