"""The databases of pacman repositories: read as repo-add makes them, and refused as nobody should."""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import zstandard
from benchmarks.aptrepo import Key, archive_key
from benchmarks.webserver import Handler, cut, endless, redirect, status
from kmodci.errors import FetchError, Gone, IndexDamaged
from kmodci.fetch import Fetcher
from kmodci.repos.base import Dependency, Snapshot, Wanted
from kmodci.repos.pacman import PacmanIndex
from kmodci.repos.pacmandb import read_database
from kmodci.repos.pacmanversion import vercmp
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


def entry(**changes: str) -> str:
    fields = {
        "FILENAME": "linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst",
        "NAME": "linux-headers",
        "BASE": "linux",
        "VERSION": "6.12.7.arch1-1",
        "CSIZE": "1234",
        "SHA256SUM": "ab" * 32,
        "ARCH": "x86_64",
        "DEPENDS": "pahole\nglibc>=2.38",
        **changes,
    }
    return "".join(f"%{name}%\n{value}\n\n" for name, value in fields.items() if value != "-")


def database(*entries: str, folder: str = "linux-headers-6.12.7.arch1-1") -> bytes:
    """As repo-add would write it, if it let one."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for text in entries:
            info = tarfile.TarInfo(f"{folder}/desc")
            info.size, info.mtime = len(text.encode()), 1700000000
            tar.addfile(info, io.BytesIO(text.encode()))
    return gzip.compress(raw.getvalue())


def read(content: bytes) -> tuple[list[str], list[str]]:
    found = read_database(content, folder="http://x", wanted=WANTED)
    return [each.url for each in found.listed], list(found.problems)


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

    def test_only_whole_names_are_asked_for(self) -> None:
        wanted = Wanted(names=frozenset({"linux-headers"}), arches=("amd64",))
        other = entry(NAME="linux-headers-extra")
        content = database(entry(), other)
        assert [each.name for each in read_database(content, folder="", wanted=wanted).listed] == ["linux-headers"]

    def test_relations_of_dependencies(self) -> None:
        found = read_database(database(entry()), folder="", wanted=WANTED).listed[0]
        assert [str(one) for (one,) in found.depends] == ["pahole", "glibc (>= 2.38)"]

    def test_a_package_without_a_checksum_is_listed_without(self) -> None:
        assert read_database(database(entry(SHA256SUM="-")), folder="", wanted=WANTED).listed[0].sha256 == ""

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
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"FILENAME": "../../x.pkg.tar.zst"}, "not a %FILENAME%"),
            ({"FILENAME": "http://elsewhere/x.pkg.tar.zst"}, "not a %FILENAME%"),
            ({"FILENAME": "linux-headers.deb"}, "not a %FILENAME%"),
            ({"NAME": "../../x"}, "not a %NAME%"),
            ({"VERSION": "6.12-$(reboot)"}, "not a version"),
            ({"VERSION": "6.12\n6.13"}, "%VERSION% has 2 values"),
            ({"ARCH": "x86_64; reboot"}, "not a %ARCH%"),
            ({"SHA256SUM": "ab"}, "not a %SHA256SUM%"),
            ({"CSIZE": "-1"}, "not a size"),
            ({"CSIZE": "9" * 30}, "not a size"),
            ({"CSIZE": "-"}, "%CSIZE% has 0 values"),
            ({"FILENAME": "-"}, "%FILENAME% has 0 values"),
            ({"DEPENDS": "a `reboot`"}, "not a dependency"),
        ],
    )
    def test_an_odd_package_is_a_problem_and_takes_no_other_down(self, changes: dict[str, str], said: str) -> None:
        urls, problems = read(database(entry(**changes), entry()))
        assert urls == ["http://x/linux-headers-6.12.7.arch1-1-x86_64.pkg.tar.zst"]
        assert len(problems) == 1
        assert said in problems[0]

    def test_an_entry_that_is_no_text(self) -> None:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            info = tarfile.TarInfo("linux-headers-1/desc")
            info.size = 2
            tar.addfile(info, io.BytesIO(b"\xff\xfe"))
        assert "not UTF-8" in read(raw.getvalue())[1][0]

    def test_an_entry_without_an_end(self) -> None:
        assert "its entry has" in read(database(entry(DESC="x" * (1 << 20))))[1][0]

    def test_a_bomb(self) -> None:
        packed = zstandard.ZstdCompressor(level=1)
        bomb = packed.compress(bytes(1 << 29)) + packed.compress(bytes(1 << 20))
        # a tar of one file that is never read, but passed over
        info = tarfile.TarInfo("other-1/desc")
        info.size = (1 << 29) + (1 << 20)
        with pytest.raises(IndexDamaged, match="unpacks to more than 512 MiB"):
            read(packed.compress(info.tobuf()) + bomb)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"<!DOCTYPE html><html><body>Maintenance</body></html>" * 40,
            gzip.compress(b"<html>" * 400),
            database(entry())[:-40],
            database(entry(), folder="a/b").replace(b"\x1f\x8b", b"\x1f\x8c", 1),
        ],
        ids=["empty", "html", "packed html", "cut off", "no gzip"],
    )
    def test_something_else(self, content: bytes) -> None:
        with pytest.raises(IndexDamaged, match="not a pacman database"):
            read(content)

    def test_a_tar_of_something_else(self) -> None:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w") as tar:
            info = tarfile.TarInfo("README")
            info.mtime = 1700000000
            tar.addfile(info)
        with pytest.raises(IndexDamaged, match="no package has a `desc`"):
            read(raw.getvalue())

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


def test_versions_are_ordered_as_pacman_orders_them() -> None:
    versions = """
        6.12.7.arch1-1 6.12.7.arch1-2 6.12.7.arch2-1 6.12.10.arch1-1 6.12.arch1-1 6.12.1.arch1-1
        6.12-1 6.12.1-1 6.12.1-1.1 6.12.1-2 1:6.1-1 0:6.12.7-1 6.12.7.zen1-1 6.12rc1-1 6.12.rc1-1 6.012-1
        6.12. 6.12_1 6..12 6.12a 6.12.a
        6.12- 6.12-a ~6.12 :6.12 6.12:1 a 1
    """
    for version in versions.split():
        for other in versions.split():
            said = subprocess.run(["vercmp", version, other], capture_output=True, check=True, text=True).stdout
            order = vercmp(version, other)
            assert ((order > 0) - (order < 0), version, other) == (int(said), version, other)
