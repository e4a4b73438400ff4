"""The Arch Linux Archive, made of days of a real repository."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.webserver import endless, status
from kmodci.errors import FetchError, Gone, IndexDamaged
from kmodci.fetch import Fetcher
from kmodci.repos import pacmanarchive
from kmodci.repos.base import Snapshot, Wanted
from kmodci.repos.pacman import PacmanIndex
from kmodci.repos.pacmanarchive import PacmanArchive
from kmodci.repos.remembered import Remembered
from support.pacmanrepo import PacmanRepo, headers_package

pytestmark = pytest.mark.slow

WANTED = Wanted(prefixes=("linux-headers", "linux-lts-headers"), arches=("amd64",))
SINCE = date(2026, 11, 10)
VERSIONS = ["6.12.5.arch1-1", "6.12.6.arch1-1", "6.12.7.arch1-1"]
# the day after the last of 2026-11-10, 11 and 12
NOW = datetime(2026, 11, 13, 0, 0, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kernel a day: `core` has the last one only."""
    folder = tmp_path_factory.mktemp("published")
    repo = PacmanRepo(folder)
    for number, version in enumerate(VERSIONS):
        repo.add(headers_package(folder, "linux-headers", version, version.replace(".arch", "-arch")))
        repo.archive(SINCE + timedelta(days=number))
    repo.server.server_close()
    return repo.root


@pytest.fixture
def repo(tmp_path: Path, published: Path) -> Iterator[PacmanRepo]:
    shutil.copytree(published, tmp_path / "mirror", symlinks=True)
    with PacmanRepo(tmp_path) as repo:
        yield repo


@pytest.fixture
def archive(tmp_path: Path) -> PacmanArchive:
    return PacmanArchive(repository="core", since=SINCE, remembered=Remembered(tmp_path / "kept"))


def looked(repo: PacmanRepo, archive: PacmanArchive, known: str = "", *, now: datetime = NOW) -> Snapshot:
    return archive.look(Fetcher(timeout=2, retries=0), repo.url, WANTED, known, now)


def versions(snapshot: Snapshot) -> list[str]:
    assert snapshot.listed is not None
    return [each.version for each in snapshot.listed]


def of_day(day: date) -> str:
    return f"/repos/{day:%Y/%m/%d}/core/os/x86_64/core.db"


def test_what_the_repository_has_dropped_is_found_with_its_checksum(repo: PacmanRepo, archive: PacmanArchive) -> None:
    found = looked(repo, archive)
    assert (versions(found), found.problems) == (VERSIONS, ())
    for each in found.listed or ():
        Fetcher().download(each.url, repo.root / "got", size=each.size, sha256=each.sha256)
        assert each.url.startswith(f"{repo.url}/packages/l/linux-headers/linux-headers-6.12.")
    assert found.dated == datetime(2026, 11, 12, tzinfo=UTC)


def test_a_kernel_is_the_same_wherever_it_is_listed(repo: PacmanRepo, archive: PacmanArchive) -> None:
    [current] = PacmanIndex(repository="core").look(Fetcher(), repo.url, WANTED, "", NOW).listed or ()
    last = (looked(repo, archive).listed or ())[-1]
    assert current.package().identity == last.package().identity


def test_a_day_is_asked_for_once(repo: PacmanRepo, archive: PacmanArchive) -> None:
    first = looked(repo, archive)
    assert repo.server.requests == [of_day(SINCE + timedelta(days=back)) for back in (2, 1, 0)]
    repo.server.requests.clear()
    again = looked(repo, archive, first.digest)
    assert (again.listed, again.digest, repo.server.requests) == (None, first.digest, [])


def test_the_next_day_is_all_that_is_asked_for(repo: PacmanRepo, archive: PacmanArchive, tmp_path: Path) -> None:
    first = looked(repo, archive)
    repo.add(headers_package(tmp_path, "linux-headers", "6.12.8.arch1-1", "6.12.8-arch1-1"))
    repo.archive(NOW.date())
    repo.server.requests.clear()
    # a day that is not over can still change
    assert looked(repo, archive, first.digest, now=NOW + timedelta(hours=23)).listed is None
    assert repo.server.requests == []
    second = looked(repo, archive, first.digest, now=NOW + timedelta(days=1))
    assert (versions(second), repo.server.requests) == ([*VERSIONS, "6.12.8.arch1-1"], [of_day(NOW.date())])


def test_what_was_remembered_and_what_is_read_now_are_the_same(
    repo: PacmanRepo, archive: PacmanArchive, tmp_path: Path
) -> None:
    for hours in (-48, -24, 0):
        by_day = looked(repo, archive, now=NOW + timedelta(hours=hours))
    at_once = looked(repo, PacmanArchive(repository="core", since=SINCE, remembered=Remembered(tmp_path / "another")))
    assert by_day == at_once


def test_a_long_history_is_read_in_several_looks(
    repo: PacmanRepo, archive: PacmanArchive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacmanarchive, "_AT_A_LOOK", 2)
    first = looked(repo, archive)
    assert (versions(first), first.problems) == (
        VERSIONS[1:],
        ("1 days of the archive are not read yet; the next looks will",),
    )
    second = looked(repo, archive, first.digest)
    assert (versions(second), second.problems) == (VERSIONS, ())


def test_what_was_remembered_is_lost_or_damaged(repo: PacmanRepo, archive: PacmanArchive, tmp_path: Path) -> None:
    first = looked(repo, archive)
    for file in (tmp_path / "kept").iterdir():
        file.write_text("[")
    assert looked(repo, archive) == first


def test_other_questions_have_other_answers(repo: PacmanRepo, archive: PacmanArchive) -> None:
    looked(repo, archive)
    wanted = Wanted(prefixes=("linux-zen-headers",), arches=("amd64",))
    assert archive.look(Fetcher(), repo.url, wanted, "", NOW).listed == ()


def test_one_bad_day_takes_no_other_down(repo: PacmanRepo, archive: PacmanArchive) -> None:
    day = repo.root / of_day(SINCE).lstrip("/")
    content = day.read_bytes()
    day.write_bytes(b"<html>" * 200)
    first = looked(repo, archive)
    assert versions(first) == VERSIONS[1:]
    assert [problem.split(":")[:2] for problem in first.problems] == [["2026-11-10", " not a pacman database"]]
    day.write_bytes(content)
    second = looked(repo, archive, first.digest)
    assert (versions(second), second.problems) == (VERSIONS, ())


def test_a_missing_day_is_waited_for_a_week(repo: PacmanRepo, archive: PacmanArchive) -> None:
    (repo.root / of_day(SINCE).lstrip("/")).unlink()
    assert looked(repo, archive).problems == (
        f"2026-11-10: {repo.url}{of_day(SINCE)}: the server answered 404 File not found",
    )
    later = NOW + timedelta(days=6)
    for back in range(6):
        repo.archive(NOW.date() + timedelta(days=back))
    for _ in range(2):
        repo.server.requests.clear()
        looked(repo, archive, now=later)
    assert repo.server.requests == []
    assert looked(repo, archive, now=later).problems == ()


def test_no_archive_at_all(repo: PacmanRepo, archive: PacmanArchive) -> None:
    shutil.rmtree(repo.root / "repos")
    for _ in range(2):
        # nor is anything of that remembered
        with pytest.raises(Gone, match="/repos/2026/11/12/"):
            looked(repo, archive, now=NOW + timedelta(days=0))
    assert len(repo.server.requests) == 6


def test_a_server_that_does_not_answer_loses_nothing(repo: PacmanRepo, archive: PacmanArchive) -> None:
    repo.server.misbehave(of_day(SINCE), status(503))
    with pytest.raises(FetchError, match="503"):
        looked(repo, archive)
    repo.server.requests.clear()
    assert (versions(looked(repo, archive)), repo.server.requests) == (VERSIONS, [of_day(SINCE)])


def test_more_than_a_database_has(repo: PacmanRepo, archive: PacmanArchive) -> None:
    repo.server.misbehave(of_day(SINCE + timedelta(days=2)), endless)
    with pytest.raises(FetchError, match="longer than"):
        looked(repo, archive)


def test_a_first_day_that_is_to_come(repo: PacmanRepo, archive: PacmanArchive) -> None:
    with pytest.raises(IndexDamaged, match="no day since 2026-11-10 is over"):
        looked(repo, archive, now=NOW - timedelta(days=3))
