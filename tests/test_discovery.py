import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from benchmarks.aptrepo import AptRepo, Key, kernel_packages, make_deb
from benchmarks.webserver import WebServer, cut, page, redirect, silent, status
from kmodci.discovery import Look, Repository, diff, look, merge, missed
from kmodci.errors import FetchError, Gone, IndexDamaged
from kmodci.fallover import FallOver
from kmodci.fetch import Fetcher
from kmodci.mirrors import system_keyrings, system_mirrors
from kmodci.model import Kernel, Package, Target
from kmodci.repos.apt import AptIndex
from support.debian import SUITES

pytestmark = pytest.mark.slow

INRELEASE = "/dists/bookworm/InRelease"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a repository with one kernel: copied for each test, because making them costs 0.1 s."""
    folder = tmp_path_factory.mktemp("published")
    repo = AptRepo(folder)
    for deb in kernel_packages(folder, "6.1.0-99-amd64"):
        repo.add(deb)
    repo.publish()
    return repo.root


@pytest.fixture
def repo(tmp_path: Path, published: Path) -> Iterator[AptRepo]:
    shutil.copytree(published, tmp_path / "mirror")
    with AptRepo(tmp_path) as repo:
        yield repo


def repository(repo: AptRepo, **changes: Any) -> Repository:
    """changes: of its index."""
    return Repository(
        name="bookworm main",
        distro="debian",
        series="bookworm",
        arches=repo.arches,
        index=AptIndex(**{"suite": repo.suite, "keyrings": (repo.keyring,), **changes}),
        mirrors=(repo.url,),
    )


def looked(where: Repository, known: str = "", packages: frozenset[str] = frozenset(), **more: Any) -> Look:
    fetcher = Fetcher(timeout=5, retries=1, backoff=0.01)
    return look(where, fetcher, known_digest=known, packages=packages, now=datetime.now(UTC), **more)


def indices(repo: AptRepo) -> list[Path]:
    return [path for path in repo.dist.rglob("*") if path.is_file() and path.name != "InRelease"]


def test_a_kernel_is_found(repo: AptRepo) -> None:
    found = looked(repository(repo))
    (kernel,) = found.kernels
    assert str(kernel) == "debian-bookworm-amd64/6.1.0-99-amd64"
    assert (kernel.version, kernel.toolchain, kernel.repository) == ("6.1.199-1", "gcc-12", "bookworm main")
    assert (found.repository, found.changed, found.problems) == ("bookworm main", True, ())
    assert datetime.now(UTC) - found.dated < timedelta(minutes=5)


def test_what_is_found_can_be_downloaded(repo: AptRepo, tmp_path: Path) -> None:
    for package in looked(repository(repo)).kernels[0].headers:
        Fetcher().download(package.url, tmp_path / "got", size=package.size, sha256=package.sha256)
        assert (tmp_path / "got").stat().st_size == package.size


def test_a_truncated_package_is_not_kept(repo: AptRepo, tmp_path: Path) -> None:
    package = looked(repository(repo)).kernels[0].headers[0]
    deb = next(repo.root.glob("pool/linux-headers-*-amd64_*.deb"))
    deb.write_bytes(deb.read_bytes()[:-1])
    with pytest.raises(IndexDamaged):
        Fetcher().download(package.url, tmp_path / "got" / "deb", size=package.size, sha256=package.sha256)
    assert list((tmp_path / "got").iterdir()) == []


def test_an_unchanged_repository_costs_one_small_request(repo: AptRepo) -> None:
    first = looked(repository(repo))
    repo.requests.clear()
    again = looked(repository(repo), first.release_digest)
    assert (again.changed, again.kernels, again.release_digest) == (False, (), first.release_digest)
    assert repo.requests == [INRELEASE]


def test_a_release_file_dated_anew_is_no_change(repo: AptRepo) -> None:
    first = looked(repository(repo))
    repo.publish(valid_for=timedelta(days=99))
    repo.requests.clear()
    assert not looked(repository(repo), first.release_digest).changed
    assert repo.requests == [INRELEASE]


def test_a_new_kernel_is_a_change(repo: AptRepo, tmp_path: Path) -> None:
    first = looked(repository(repo))
    for deb in kernel_packages(tmp_path, "6.1.0-100-rt-arm64", version="6.1.200-1"):
        repo.add(deb)
    repo.publish()
    second = looked(repository(repo), first.release_digest)
    assert second.changed
    changes = diff({str(kernel): kernel for kernel in first.kernels}, second.kernels)
    assert [str(kernel) for kernel in changes.new] == ["debian-bookworm-arm64/6.1.0-100-rt-arm64"]
    assert (changes.changed, changes.gone) == ((), ())


def test_other_packages_are_found_by_name_and_asking_for_more_is_a_change(repo: AptRepo, tmp_path: Path) -> None:
    first = looked(repository(repo))
    for version in ("1.9", "1.10", "1.10~rc1"):
        repo.add(make_deb(tmp_path, "hello-dkms", version=version))
    repo.add(make_deb(tmp_path, "hello-dkms-extra", version="2"))
    repo.publish()
    plain = looked(repository(repo), first.release_digest)
    assert plain.packages == ()
    asked = looked(repository(repo), plain.release_digest, frozenset({"hello-dkms", "missing-dkms"}))
    assert asked.changed
    assert [(package.name, package.version) for package in asked.packages] == [("hello-dkms", "1.10")]


def test_indices_are_asked_for_by_hash_and_as_gzip(repo: AptRepo) -> None:
    looked(repository(repo))
    assert repo.requests[0] == INRELEASE
    assert len(repo.requests) == 3
    assert all("/by-hash/SHA256/" in path for path in repo.requests[1:])


def test_without_by_hash(repo: AptRepo) -> None:
    repo.publish(by_hash=False)
    assert looked(repository(repo)).kernels
    binary = "/dists/bookworm/main/binary-"
    assert repo.requests[1:] == [f"{binary}amd64/Packages.gz", f"{binary}arm64/Packages.gz"]


@pytest.mark.parametrize("missing", ["by-hash/SHA256/*", "*.gz", "by-hash/SHA256/* *.gz *.xz"])
def test_what_is_listed_but_not_there_is_got_another_way(repo: AptRepo, missing: str) -> None:
    for pattern in missing.split():
        for path in repo.dist.glob(f"main/binary-*/{pattern}"):
            path.unlink()
    assert looked(repository(repo)).kernels


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_each_compression_will_do(repo: AptRepo, suffix: str) -> None:
    repo.publish(suffixes=[suffix])
    assert looked(repository(repo)).kernels


def test_an_index_that_is_not_there_at_all(repo: AptRepo) -> None:
    for path in indices(repo):
        path.unlink()
    with pytest.raises(Gone, match="by-hash"):
        looked(repository(repo))


def test_programs_of_the_build_machine_are_read_even_if_only_arm64_is_followed(repo: AptRepo, tmp_path: Path) -> None:
    for deb in kernel_packages(tmp_path, "6.1.0-99-arm64"):
        repo.add(deb)
    repo.publish()
    (kernel,) = looked(replace(repository(repo), arches=("arm64",))).kernels
    assert kernel.release == "6.1.0-99-arm64"
    assert [package.arch for package in kernel.headers] == ["arm64", "all", "amd64"]


def test_a_damaged_index(repo: AptRepo) -> None:
    for path in indices(repo):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))
    with pytest.raises(IndexDamaged, match=f"bookworm main at {repo.url}: "):
        looked(repository(repo))


def test_an_index_of_the_right_size_with_other_content(repo: AptRepo) -> None:
    repo.publish(suffixes=[""])
    for path in indices(repo):
        path.write_bytes(path.read_bytes().replace(b"gcc-12", b"gcc-13"))
    with pytest.raises(IndexDamaged, match="SHA256"):
        looked(repository(repo))


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz"])
def test_a_truncated_index(repo: AptRepo, suffix: str) -> None:
    repo.publish(suffixes=[suffix])
    for path in indices(repo):
        path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(IndexDamaged):
        looked(repository(repo))


def test_a_connection_that_breaks_within_an_index(repo: AptRepo) -> None:
    repo.publish(suffixes=[""], by_hash=False)
    path = "/dists/bookworm/main/binary-amd64/Packages"
    content = (repo.root / path.lstrip("/")).read_bytes()
    repo.server.misbehave(path, cut(content[:100], announced=len(content)))
    assert looked(repository(repo)).kernels


def test_a_wrong_signature(repo: AptRepo) -> None:
    path = repo.dist / "InRelease"
    path.write_bytes(path.read_bytes().replace(b"Label: Test", b"Label: Evil"))
    with pytest.raises(IndexDamaged, match=f"bookworm main at {repo.url}: the signature is wrong"):
        looked(repository(repo))
    assert repo.requests == [INRELEASE]


def test_an_unknown_key(repo: AptRepo) -> None:
    repo.publish(key=Key())
    with pytest.raises(IndexDamaged, match="none of the keyrings"):
        looked(repository(repo))


def test_not_signed(repo: AptRepo) -> None:
    (repo.dist / "InRelease").write_text("Suite: bookworm\n")
    with pytest.raises(IndexDamaged, match="not signed"):
        looked(repository(repo))


def test_an_expired_index(repo: AptRepo) -> None:
    digest = looked(repository(repo)).release_digest
    repo.publish(valid_for=timedelta(days=-1))
    for known in ("", digest):
        with pytest.raises(IndexDamaged, match="expired on") as caught:
            looked(repository(repo), known)
        assert "check_valid_until: false" in caught.value.hint
    assert looked(repository(repo, check_valid_until=False)).kernels


def test_an_index_without_an_end(repo: AptRepo) -> None:
    repo.publish(valid_for=None)
    assert looked(repository(repo)).kernels


def test_the_release_file_of_another_suite(repo: AptRepo) -> None:
    (repo.root / "dists" / "trixie").symlink_to(repo.dist)
    with pytest.raises(IndexDamaged, match="the suite 'bookworm', not 'trixie'"):
        looked(repository(repo, suite="trixie"))


def test_what_the_repository_does_not_have(repo: AptRepo) -> None:
    with pytest.raises(IndexDamaged, match="does not list"):
        looked(repository(repo, components=("main", "contrib")))
    with pytest.raises(IndexDamaged, match="does not list"):
        looked(replace(repository(repo), arches=("riscv64",)))


def test_a_mirror_that_is_down(repo: AptRepo) -> None:
    repo.server.misbehave(INRELEASE, *[status(502)] * 9)
    with pytest.raises(FetchError, match="502"):
        looked(repository(repo))


@pytest.fixture
def second(repo: AptRepo) -> Iterator[WebServer]:
    """Another mirror of the repository."""
    with WebServer(repo.root) as server:
        yield server


HTML = page("<html><body><h1>It works!</h1></body></html>")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (HTML, "not signed"),
        (status(304), "304 Not Modified"),
        (status(500), "500 Internal Server Error"),
        (status(404), "404 Not Found"),
        (redirect(INRELEASE), "more than 5 redirects"),
        (redirect("file:///etc/passwd"), "not HTTP"),
        (silent, "timed out"),
    ],
)
def test_a_broken_mirror_is_followed_by_the_next(repo: AptRepo, second: WebServer, fault: Any, said: str) -> None:
    repo.server.misbehave(INRELEASE, *[fault] * 20)
    where = replace(repository(repo), mirrors=(repo.url, second.url))
    fetcher = Fetcher(timeout=0.2, retries=0)
    found = look(where, fetcher, now=datetime.now(UTC))
    assert [kernel.release for kernel in found.kernels] == ["6.1.0-99-amd64"]
    (told,) = found.mirror_faults
    assert said in told and repo.url in told
    with pytest.raises((FetchError, IndexDamaged), match=said):
        look(replace(where, mirrors=(repo.url,)), fetcher, now=datetime.now(UTC))


def test_two_looks_are_the_same_whichever_mirror_answers(repo: AptRepo, second: WebServer) -> None:
    where = replace(repository(repo), mirrors=(repo.url, second.url))
    first = looked(where)
    repo.server.misbehave(INRELEASE, HTML, HTML)
    other = looked(where)
    assert other.kernels == first.kernels
    assert not looked(where, other.release_digest).changed
    assert {package.url.partition("/pool")[0] for package in other.kernels[0].headers} == {repo.url}


def test_a_mirror_that_hangs_is_waited_for_once(repo: AptRepo, second: WebServer) -> None:
    where = replace(repository(repo), mirrors=(repo.url, second.url))
    fallover, fetcher = FallOver(), Fetcher(timeout=0.2, retries=0)
    repo.server.misbehave(INRELEASE, *[silent] * 9)
    digest = ""
    for _ in range(3):
        found = look(where, fetcher, known_digest=digest, now=datetime.now(UTC), fallover=fallover)
        digest = found.release_digest
        assert [repo.url in fault for fault in found.mirror_faults] == [True]
    assert repo.requests == [INRELEASE]
    assert second.requests.count(INRELEASE) == 3
    second.misbehave(INRELEASE, status(403))
    repo.server.misbehave(INRELEASE)
    found = look(where, fetcher, known_digest=digest, now=datetime.now(UTC), fallover=fallover)
    assert repo.requests == [INRELEASE] * 2
    assert [second.url in fault for fault in found.mirror_faults] == [True]


def test_all_mirrors_of_a_look_have_a_quarter_of_an_hour_together(repo: AptRepo, second: WebServer) -> None:
    given: list[float] = []

    class Watched(Fetcher):
        def within(self, seconds: float) -> "Watched":
            given.append(seconds)
            return super().within(seconds)

    where = replace(repository(repo), mirrors=(repo.url, second.url))
    repo.server.misbehave(INRELEASE, HTML)
    assert look(where, Watched(retries=0), now=datetime.now(UTC)).kernels
    assert given == [450, 450]


def test_if_no_mirror_answers_each_is_told_of(repo: AptRepo, second: WebServer) -> None:
    where = replace(repository(repo), mirrors=(repo.url, second.url))
    repo.server.misbehave(INRELEASE, HTML)
    second.misbehave(INRELEASE, status(403))
    with pytest.raises(IndexDamaged) as caught:
        looked(where)
    assert f"bookworm main at {repo.url}: not signed" in caught.value.brief
    assert f"{second.url}{INRELEASE}: the server answered 403 Forbidden" in caught.value.brief


def test_what_is_older_than_what_was_there_is_no_answer(repo: AptRepo, tmp_path: Path) -> None:
    lagging = tmp_path / "lagging"
    shutil.copytree(repo.root, lagging, symlinks=True)
    for deb in kernel_packages(tmp_path, "6.1.0-100-amd64", version="6.1.200-1"):
        repo.add(deb)
    repo.publish(dated=datetime.now(UTC) + timedelta(hours=6))
    with WebServer(lagging) as old:
        where = replace(repository(repo), mirrors=(old.url, repo.url))
        known = looked(replace(where, mirrors=(old.url,)))
        new = looked(where, known.release_digest, known_date=known.dated)
        assert not new.changed  # the first mirror answers, and is as it was
        old.misbehave(INRELEASE, status(403))
        new = looked(where, known.release_digest, known_date=known.dated)
        assert len(new.kernels) == 2
        again = looked(where, new.release_digest, known_date=new.dated)
        assert (again.changed, again.dated) == (False, new.dated)
        (told,) = again.mirror_faults
        assert f"bookworm main at {old.url}: it is of " in told
        with pytest.raises(IndexDamaged, match="was there before"):
            looked(replace(where, mirrors=(old.url,)), new.release_digest, known_date=new.dated)


def test_an_older_date_of_the_same_content_is_no_fault(repo: AptRepo) -> None:
    """As where several servers answer to one name, and not all of them are at the same state."""
    first = looked(repository(repo))
    repo.publish(dated=first.dated - timedelta(hours=6))
    again = looked(repository(repo), first.release_digest, known_date=first.dated)
    assert (again.changed, again.dated, again.mirror_faults) == (False, first.dated, ())


def test_another_first_mirror_may_be_behind(repo: AptRepo, second: WebServer) -> None:
    first = looked(repository(repo))
    repo.publish(dated=first.dated - timedelta(hours=6))
    moved = looked(replace(repository(repo), mirrors=(second.url,)), first.release_digest, known_date=first.dated)
    assert moved.changed and moved.dated < first.dated


def test_an_index_that_is_announced_as_too_large_is_not_asked_for(repo: AptRepo) -> None:
    release = (repo.dist / "InRelease").read_text()
    sizes = re.sub(r"(?m)^( [0-9a-f]{64}) +[0-9]+ (main/binary-amd64/Packages)", rf"\1 {2 << 30} \2", release)
    text = sizes.partition("\n\n")[2].partition("\n-----BEGIN PGP SIGNATURE")[0]
    (repo.dist / "InRelease").write_bytes(repo.key.sign(text))
    with pytest.raises(IndexDamaged, match="2147483648 bytes"):
        looked(repository(repo))
    assert repo.requests == [INRELEASE]


@pytest.mark.parametrize(
    "release",
    ["6.1/../../etc-amd64", "6.1..0-amd64", "6.1 0-amd64", "$(id)-amd64", "6.1.0\n -amd64", "../x", "-rf", ""],
)
def test_a_hostile_release_is_reported_and_hurts_no_other(repo: AptRepo, release: str) -> None:
    repo.publish(extra={"amd64": repo.packages("amd64").replace("6.1.0-99-amd64", release)})
    found = looked(repository(repo))
    assert [kernel.release for kernel in found.kernels] == ["6.1.0-99-amd64"]
    assert len(found.problems) == 1
    assert found.problems[0].isprintable()


def kernel(version: str, *, repository: str = "a", series: str = "sid", toolchain: str = "gcc-12") -> Kernel:
    header = Package(name="h", version=version, arch="amd64", url=f"http://{repository}/h", size=1, sha256="0" * 64)
    return Kernel(
        target=Target(distro="debian", series=series, arch="amd64"),
        release="6.1.0-1-amd64",
        version=version,
        flavour="amd64",
        toolchain=toolchain,
        repository=repository,
        headers=(header,),
    )


def test_merge_takes_the_newest_version_and_then_the_first_repository() -> None:
    old, new, same = kernel("6.1.9-1"), kernel("6.1.10-1", repository="b"), kernel("6.1.10-1", repository="c")
    assert merge([[old], [new], [same]]) == (new,)
    assert merge([[same], [new], [old]]) == (same,)
    assert merge([[kernel("6.1~rc1-1", series="forky")], [kernel("6.1-1")]]) == (kernel("6.1-1"),)
    assert merge([]) == ()


def test_merge_takes_what_is_listed_before_what_is_gone() -> None:
    listed, newer = kernel("6.1.9-1"), replace(kernel("6.1.10-1", repository="b"), gone=50.0)
    assert merge([[listed], [newer]]) == merge([[newer], [listed]]) == (listed,)
    # of what is gone the newest, and of equal ones that which was there last
    older = replace(kernel("6.1.9-1", repository="c"), gone=90.0)
    assert merge([[newer], [older]]) == merge([[older], [newer]]) == (newer,)
    later = replace(newer, repository="c", gone=90.0)
    assert merge([[newer], [later]]) == merge([[later], [newer]]) == (later,)


def test_what_is_missed_is_marked_with_the_time() -> None:
    here, other = kernel("6.1.9-1"), kernel("6.1.9-1", series="forky")
    gone = replace(other, gone=50.0)
    everywhere = {here.target, other.target}
    assert missed([here, other], [here], everywhere, 90.0) == (replace(other, gone=90.0),)
    assert missed([here, gone], [here], everywhere, 90.0) == (), "it has been missed before"
    assert missed([here, other], [here], {here.target}, 90.0) == (), "nobody has looked for it"
    assert missed([here], [kernel("6.1.10-1")], everywhere, 90.0) == ()


def test_diff() -> None:
    known = kernel("6.1.9-1")
    names = {str(known): known}
    assert diff(names, [known]) == diff({}, [])
    assert diff({}, [known]).new == (known,)
    gone = replace(known, gone=50.0)
    assert diff(names, [gone]) == replace(diff({}, []), gone=(gone,))
    assert diff({str(gone): gone}, [known]) == replace(diff({}, []), back=(known,))
    assert diff({str(gone): gone}, [gone]) == diff({}, [])
    for other in (kernel("6.1.10-1"), kernel("6.1.9-1", toolchain="gcc-13")):
        assert diff(names, [other]).changed == (other,)
    assert diff(names, [kernel("6.1.9-1", repository="b")]) == diff({}, [])


@pytest.mark.network
@pytest.mark.parametrize("suite", SUITES)
def test_the_real_mirror(suite: str) -> None:
    mirrors = system_mirrors()
    where = Repository(
        name=f"{suite} main",
        distro="debian",
        series=SUITES[suite],
        arches=("amd64", "arm64"),
        index=AptIndex(
            suite=suite,
            keyrings=system_keyrings("debian"),
            check_valid_until=suite not in ("sid", "forky", "experimental"),
        ),
        mirrors=(mirrors["debian-security" if suite.endswith("-security") else "debian"],),
    )
    first = look(where, Fetcher(), now=datetime.now(UTC))
    assert {kernel.target.arch for kernel in first.kernels} == {"amd64", "arm64"}
    assert first.problems == ()
    assert not look(where, Fetcher(), known_digest=first.release_digest, now=datetime.now(UTC)).changed
