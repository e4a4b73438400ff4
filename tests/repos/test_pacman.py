"""pacman repositories as repo-add makes them, on a server that does as it should, and as it should not."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.aptrepo import Key, archive_key
from benchmarks.webserver import Handler, cut, endless, redirect, status
from kmodci.errors import FetchError, Gone, IndexDamaged
from kmodci.fetch import Fetcher
from kmodci.repos.base import Dependency, Snapshot, Wanted
from kmodci.repos.pacman import PacmanIndex
from support.pacmanrepo import PacmanRepo, headers_package, make_package

pytestmark = pytest.mark.slow

WANTED = Wanted(prefixes=("linux-headers", "linux-lts-headers"), arches=("amd64",))
DATABASE = "/core/os/x86_64/core.db"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a repository with two kernels and another package: copied for each test."""
    folder = tmp_path_factory.mktemp("published")
    repo = PacmanRepo(folder, key=archive_key())
    repo.add(
        headers_package(folder, "linux-headers", "6.12.7.arch1-1", "6.12.7-arch1-1"),
        headers_package(folder, "linux-lts-headers", "6.6.69-1", "6.6.69-1-lts"),
        make_package(folder, "linux-firmware", "1:20260101-1", arch="any"),
    )
    repo.server.server_close()
    return repo.root


@pytest.fixture
def repo(tmp_path: Path, published: Path) -> Iterator[PacmanRepo]:
    shutil.copytree(published, tmp_path / "mirror", symlinks=True)
    with PacmanRepo(tmp_path, key=archive_key()) as repo:
        yield repo


def looked(
    repo: PacmanRepo, known: str = "", *, fetcher: Fetcher | None = None, keys: tuple[Path, ...] = ()
) -> Snapshot:
    fetcher = fetcher or Fetcher(timeout=2, retries=0)
    return PacmanIndex(repository="core", keyrings=keys).look(fetcher, repo.url, WANTED, known, datetime.now(UTC))


class TestDatabase:
    def test_what_is_looked_for_is_found(self, repo: PacmanRepo) -> None:
        found = looked(repo)
        assert found.listed is not None
        assert {(each.name, each.version, each.arch) for each in found.listed} == {
            ("linux-headers", "6.12.7.arch1-1", "amd64"),
            ("linux-lts-headers", "6.6.69-1", "amd64"),
        }
        for each in found.listed:
            content = Fetcher().get(each.url, limit=1 << 20)
            assert (each.size, each.sha256) == (len(content), hashlib.sha256(content).hexdigest())
            assert each.depends == ((Dependency(name="pahole"),),)
        assert found.problems == ()
        assert datetime.now(UTC) - found.dated < timedelta(minutes=5)

    @pytest.mark.parametrize("suffix", ["", ".xz", ".zst"])
    def test_whatever_it_is_compressed_with(self, tmp_path: Path, suffix: str) -> None:
        with PacmanRepo(tmp_path, suffix=suffix) as repo:
            repo.add(headers_package(tmp_path / "made", "linux-headers", "6.12.7.arch1-1", "6.12.7-arch1-1"))
            assert [each.name for each in looked(repo).listed or ()] == ["linux-headers"]

    def test_an_empty_repository(self, repo: PacmanRepo) -> None:
        for name in ("linux-headers", "linux-lts-headers", "linux-firmware"):
            repo.drop(name)
        assert looked(repo).listed == ()

    def test_another_architecture_is_an_error_of_the_configuration(self, repo: PacmanRepo) -> None:
        wanted = Wanted(prefixes=("linux-headers",), arches=("arm64",))
        with pytest.raises(IndexDamaged, match="Arch has no packages for arm64"):
            PacmanIndex(repository="core").look(Fetcher(), repo.url, wanted, "", datetime.now(UTC))


class TestChange:
    def test_an_unchanged_database_is_not_sent_again(self, repo: PacmanRepo) -> None:
        os.utime(repo.database, (1700000000, 1700000000))
        fetcher = Fetcher(timeout=2, retries=0)
        first = looked(repo, fetcher=fetcher)
        repo.server.requests.clear()
        # what is there now would be refused
        repo.database.write_bytes(b"no database")
        os.utime(repo.database, (1700000000, 1700000000))
        again = looked(repo, first.digest, fetcher=fetcher)
        assert (again.listed, again.digest, again.dated) == (None, first.digest, first.dated.replace(microsecond=0))
        assert repo.server.requests == [DATABASE]

    def test_a_server_without_validators_costs_the_database(self, repo: PacmanRepo) -> None:
        content = repo.database.read_bytes()
        plain = cut(content, announced=len(content))
        repo.server.misbehave(DATABASE, plain, plain)
        fetcher = Fetcher(timeout=2, retries=0)
        first = looked(repo, fetcher=fetcher)
        assert looked(repo, first.digest, fetcher=fetcher).listed is None

    def test_a_new_farm_asks_once_more(self, repo: PacmanRepo) -> None:
        assert looked(repo, looked(repo).digest).listed is None

    def test_a_new_package_is_a_change(self, repo: PacmanRepo, tmp_path: Path) -> None:
        fetcher = Fetcher(timeout=2, retries=0)
        first = looked(repo, fetcher=fetcher)
        repo.add(headers_package(tmp_path / "made", "linux-headers", "6.12.8.arch1-1", "6.12.8-arch1-1"))
        second = looked(repo, first.digest, fetcher=fetcher)
        assert second.digest != first.digest
        # as repositories of Arch do it, the older one is no longer listed
        assert {each.version for each in second.listed or ()} == {"6.12.8.arch1-1", "6.6.69-1"}


class TestSignature:
    def test_a_signed_database(self, repo: PacmanRepo) -> None:
        assert looked(repo, keys=(archive_key().keyring,)).listed

    def test_an_unsigned_database_where_a_signature_is_demanded(self, repo: PacmanRepo) -> None:
        repo.database.with_name("core.db.sig").unlink()
        with pytest.raises(Gone, match=r"core\.db\.sig"):
            looked(repo, keys=(archive_key().keyring,))

    def test_a_database_that_was_changed(self, repo: PacmanRepo, tmp_path: Path) -> None:
        signature = repo.database.with_name("core.db.sig").read_bytes()
        repo.add(headers_package(tmp_path / "made", "linux-headers", "6.12.8.arch1-1", "6.12.8-arch1-1"))
        repo.database.with_name("core.db.sig").write_bytes(signature)
        with pytest.raises(IndexDamaged, match="changed after it was signed"):
            looked(repo, keys=(archive_key().keyring,))

    def test_another_key(self, repo: PacmanRepo) -> None:
        other = Key()
        with pytest.raises(IndexDamaged, match="none of the keyrings"):
            looked(repo, keys=(other.keyring,))


class TestHostile:
    def test_a_page_instead_of_a_database(self, repo: PacmanRepo) -> None:
        page = b"<html><h1>It works!</h1></html>"
        repo.server.misbehave(DATABASE, cut(page, announced=len(page)))
        with pytest.raises(IndexDamaged, match="not a pacman database"):
            looked(repo)

    def test_more_than_a_database_has(self, repo: PacmanRepo) -> None:
        repo.server.misbehave(DATABASE, endless)
        with pytest.raises(FetchError, match="longer than the 67108864 bytes"):
            looked(repo)

    def test_a_redirect_that_never_ends(self, repo: PacmanRepo) -> None:
        repo.server.misbehave(DATABASE, *[redirect(DATABASE)] * 9)
        with pytest.raises(FetchError, match="redirect"):
            looked(repo)

    def test_a_mirror_that_hangs(self, repo: PacmanRepo) -> None:
        waiting: list[Handler] = []
        repo.server.misbehave(DATABASE, waiting.append)
        with pytest.raises(FetchError):
            looked(repo, fetcher=Fetcher(timeout=0.1, retries=0))
        assert len(waiting) == 1

    def test_a_304_that_nobody_asked_for(self, repo: PacmanRepo) -> None:
        repo.server.misbehave(DATABASE, status(304))
        with pytest.raises(FetchError, match="304 Not Modified"):
            looked(repo)
