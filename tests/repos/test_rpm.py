"""Repositories as the real tools make them: rpmbuild, createrepo_c, gpg; and ones that are damaged after."""

import gzip
import hashlib
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.aptrepo import Key
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm, make_rpm
from benchmarks.webserver import Handler, dripping, endless, page, redirect, silent, status
from kmodci import discovery
from kmodci.discovery import Backwards, Repository
from kmodci.errors import FetchError, Gone, IndexDamaged, KmodciError
from kmodci.fetch import Fetcher
from kmodci.repos.base import Dependency, Signed, Snapshot, Wanted
from kmodci.repos.rpm import RpmIndex

WANTED = Wanted(prefixes=("kernel-devel", "kernel-64k-devel"), arches=("amd64", "arm64"))
NOW = datetime.now(UTC)
REPOMD = "/9/BaseOS/x86_64/os/repodata/repomd.xml"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a repository, whose index is gzip-compressed XML and a database."""
    folder = tmp_path_factory.mktemp("published")
    larger = {"name": "kernel-64k-devel", "arch": "aarch64", "uname": "5.14.0-503.el9.aarch64+64k"}
    more = {"arch": "noarch", "epoch": 2, "requires": ["kernel-devel >= 5", "/usr/bin/find", "rpmlib(X) <= 4"]}
    with RpmRepo(folder) as made:
        made.add(make_kernel_rpm(folder, "5.14.0", "503.el9"))
        made.add(make_kernel_rpm(folder, "5.14.0", "503.el9", **larger))
        made.add(make_rpm(folder, "kernel-devel-doc", "6.6~rc1^git2", "1", **more))
        made.add(make_rpm(folder, "bash", "5.1", "1"))
        made.publish(database=True)
        return made.root


@pytest.fixture
def repo(tmp_path: Path, published: Path) -> Iterator[RpmRepo]:
    """A copy."""
    shutil.copytree(published, tmp_path / "mirror")
    with RpmRepo(tmp_path) as made:
        yield made


def look(repo: RpmRepo, signed: Signed = Signed.NO, *, known: str = "", wanted: Wanted = WANTED) -> Snapshot:
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
@pytest.mark.parametrize(
    ("prefix", "found"),
    [
        ("kernel-*-devel", ["kernel-64k-devel"]),
        ("kernel*-devel", ["kernel-64k-devel", "kernel-devel", "kernel-devel-doc"]),
        ("kernel-d*devel", []),
        ("*k-devel", ["kernel-64k-devel"]),
    ],
)
def test_what_is_looked_for_by_more_than_its_beginning(
    repo: RpmRepo, database: bool, prefix: str, found: list[str]
) -> None:
    repo.publish(database=database)
    if database:
        repo.without_xml()
    snapshot = look(repo, wanted=Wanted(prefixes=(prefix,), arches=("amd64", "arm64")))
    assert [name for name, _, _ in names(snapshot)] == found


@pytest.mark.parametrize("database", [False, True])
@pytest.mark.parametrize("compression", ["gz", "xz", "zstd", "bz2"])
def test_every_form_of_the_index(repo: RpmRepo, compression: str, database: bool) -> None:
    repo.publish(compression=compression, database=database)
    if database:
        repo.without_xml()
    found = look(repo)
    assert names(found) == LISTED
    assert found.problems == ()
    doc, _, kernel = sorted(found.listed or (), key=lambda each: (each.name != "kernel-devel-doc", each.name))
    assert kernel.provides[-1] == Dependency(name="kernel-devel-uname-r", relation="=", version="5.14.0-503.el9.x86_64")
    assert doc.depends == ((Dependency(name="kernel-devel", relation=">=", version="5"),),)
    assert (kernel.source, kernel.source_version) == ("kernel-devel", "5.14.0-503.el9")
    content = Fetcher().get(kernel.url, limit=kernel.size)
    assert hashlib.sha256(content).hexdigest() == kernel.sha256


def test_an_odd_requirement_is_left_out(repo: RpmRepo) -> None:
    repo.rewrite('(<rpm:entry name="kernel-devel" flags="GE" epoch="0" ver=)"5"', r'\1"%{version}"')
    found = look(repo)
    assert (names(found), found.problems) == (LISTED, ())
    assert {each.depends for each in found.listed or ()} == {()}


def test_xml_and_database_say_the_same(repo: RpmRepo) -> None:
    xml = look(repo)
    repo.without_xml()
    assert set(look(repo).listed or ()) == set(xml.listed or ())


def test_a_package_by_its_whole_name(repo: RpmRepo) -> None:
    wanted = Wanted(names=frozenset({"bash", "kernel-dev"}), arches=("amd64",))
    assert names(look(repo, wanted=wanted)) == [("bash", "5.1-1", "amd64")]
    repo.without_xml()
    assert names(look(repo, wanted=wanted)) == [("bash", "5.1-1", "amd64")]


def test_what_has_not_changed_costs_one_small_request(repo: RpmRepo, tmp_path: Path) -> None:
    first = look(repo)
    repo.requests.clear()
    again = look(repo, known=first.digest)
    assert (again.digest, again.listed, again.dated) == (first.digest, None, first.dated)
    assert repo.requests == [REPOMD]
    repo.add(make_kernel_rpm(tmp_path / "new", "5.14.0", "570.el9"))
    repo.publish()
    changed = look(repo, known=first.digest)
    assert ("kernel-devel", "5.14.0-570.el9", "amd64") in names(changed)
    assert changed.digest != first.digest


def test_it_is_dated_as_it_says(repo: RpmRepo) -> None:
    repo.publish("--revision=1700000000", "--set-timestamp-to-revision")
    assert look(repo).dated == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    repomd = repo.repodata / "repomd.xml"
    repomd.write_text(re.sub(r"<timestamp>.*?</timestamp>", "", repomd.read_text()))
    assert look(repo).dated == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    repomd.write_text(repomd.read_text().replace("1700000000", "9.4"))
    assert look(repo).dated == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("checksum", ["sha512", "sha384"])
def test_a_strong_checksum_of_another_kind(repo: RpmRepo, checksum: str) -> None:
    """The index is checked with it; of the packages, nothing is kept that could be checked later."""
    repo.publish(f"--checksum={checksum}")
    assert {each.sha256 for each in look(repo, Signed.PACKAGES).listed or ()} == {""}
    repo.sign()
    found = look(repo, Signed.INDEX)
    assert found.listed == ()
    assert "kernel-devel 5.14.0-503.el9: the index has no SHA256 of it" in found.problems


@pytest.mark.parametrize("kind", ["sha", "sha1"])
def test_a_checksum_that_can_be_forged(repo: RpmRepo, kind: str) -> None:
    """Where packages are signed it only tells accidents; a signed index has nothing else to vouch for its content."""
    repomd, content = repo.repodata / "repomd.xml", repo.file("primary").read_bytes()
    strong, weak = hashlib.sha256(content).hexdigest(), hashlib.sha1(content).hexdigest()
    repomd.write_text(repomd.read_text().replace(f'"sha256">{strong}', f'"{kind}">{weak}'))
    repo.sign()
    assert names(look(repo, Signed.PACKAGES)) == LISTED
    with pytest.raises(IndexDamaged, match="sha1, which can be forged"):
        look(repo, Signed.INDEX)


def test_a_signed_index(repo: RpmRepo) -> None:
    repo.sign()
    first = look(repo, Signed.INDEX)
    assert names(first) == LISTED
    repo.requests.clear()
    assert look(repo, Signed.INDEX, known=first.digest).listed is None
    assert repo.requests == [REPOMD, f"{REPOMD}.asc"]


def test_no_signature_where_one_is_demanded(repo: RpmRepo) -> None:
    with pytest.raises(IndexDamaged, match=r"its index is not signed \(the server answered 404") as caught:
        look(repo, Signed.INDEX)
    assert "signed: packages" in caught.value.hint


def test_a_signature_that_is_not_the_vendors(repo: RpmRepo) -> None:
    repo.sign(Key())
    with pytest.raises(IndexDamaged, match="in none of the keyrings"):
        look(repo, Signed.INDEX)


def test_an_index_that_was_changed_after_it_was_signed(repo: RpmRepo) -> None:
    repo.sign()
    repo.rewrite("503", "504")
    with pytest.raises(IndexDamaged, match="changed after it was signed"):
        look(repo, Signed.INDEX)
    assert ("kernel-devel", "5.14.0-504.el9", "amd64") in names(look(repo))


def test_a_file_that_is_not_there(repo: RpmRepo) -> None:
    repo.file("primary").unlink()
    with pytest.raises(Gone, match=r"primary\.xml\.gz: the server answered 404"):
        look(repo)


def test_a_file_that_is_another(repo: RpmRepo) -> None:
    content = bytearray(repo.file("primary").read_bytes())
    content[-6] ^= 1
    repo.file("primary").write_bytes(content)
    with pytest.raises(IndexDamaged):
        look(repo)
    repo.file("primary").write_bytes(b"<metadata packages='0'></metadata>")
    with pytest.raises(IndexDamaged):
        look(repo)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is not XML"),
        ("<html><body>Please log in</body></html>", "its root is <html>"),
        ("<!DOCTYPE html><html><p>Please log in</html>", "is refused: DTDForbidden|is not XML"),
        ("<repomd><revision>1</revision></repomd>", "no primary index of a form that is known: none"),
        ('<repomd><data type="primary"/></repomd>', "<data> has no <location>"),
        ('<?xml version="1.0"?><repomd>&a;</repomd>', "is not XML"),
    ],
)
def test_a_page_with_status_200_that_is_no_index(repo: RpmRepo, content: str, told: str) -> None:
    (repo.repodata / "repomd.xml").write_text(content)
    with pytest.raises(IndexDamaged, match=told):
        look(repo)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {name} "{f"&{inner};" * 10}">' for inner, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def test_a_bomb_in_repomd(repo: RpmRepo) -> None:
    (repo.repodata / "repomd.xml").write_text(f"{BOMB}]><repomd><revision>&i;</revision></repomd>")
    with pytest.raises(IndexDamaged, match=r"repomd\.xml is refused: DTDForbidden, as an XML bomb"):
        look(repo)


def test_a_bomb_in_the_primary_index(repo: RpmRepo) -> None:
    repo.rewrite("<metadata", f"{BOMB}]><metadata")
    with pytest.raises(IndexDamaged, match="declares a document type"):
        look(repo)


@pytest.mark.parametrize(("field", "suffix"), [("size", ""), ("open-size", ""), ("size", "000")])
def test_an_index_that_is_too_large(repo: RpmRepo, field: str, suffix: str) -> None:
    """It is not even asked for."""
    repomd = repo.repodata / "repomd.xml"
    repomd.write_text(re.sub(rf"<{field}>\d+<", f"<{field}>{2 << 30}{suffix}<", repomd.read_text()))
    with pytest.raises(IndexDamaged, match=r"too large|not a size in bytes"):
        look(repo)
    assert repo.requests == [REPOMD]


def test_an_index_that_unpacks_to_more_than_it_says(repo: RpmRepo) -> None:
    repomd = repo.repodata / "repomd.xml"
    repomd.write_text(re.sub(r"<open-size>\d+<", "<open-size>100<", repomd.read_text()))
    with pytest.raises(IndexDamaged, match="more than the 100 bytes announced"):
        look(repo)


def test_servers_that_do_not_end(repo: RpmRepo) -> None:
    primary = f"/{repo.file('primary').relative_to(repo.root)}"
    repo.server.misbehave(primary, endless)
    with pytest.raises(KmodciError, match=r"is longer than|more than that"):
        look(repo)
    repo.server.misbehave(REPOMD, *[redirect(REPOMD)] * 10)
    with pytest.raises(FetchError, match="redirects"):
        look(repo)
    repo.server.misbehave(REPOMD, status(503))
    with pytest.raises(FetchError, match="503"):
        look(repo)


@pytest.mark.parametrize("kind", ["repomd", "signature", "primary"])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (page("<html><body>It works!</body></html>"), "changed after it was signed|not signed|cannot be unpacked"),
        (status(304), "304 Not Modified"),
        (silent, "timed out"),
        # the first bytes of an index will do to refuse it
        (dripping, "less than 1000 bytes per second|cannot be unpacked"),
    ],
    ids=["page", "304", "silent", "dripping"],
)
def test_a_mirror_that_has_something_else_to_say(
    repo: RpmRepo, kind: str, fault: Callable[[Handler], None], told: str
) -> None:
    """Of each file of the index; what is read is refused, and nothing is waited for long."""
    repo.sign()
    files = {"repomd": REPOMD, "signature": f"{REPOMD}.asc"}
    path = files.get(kind) or f"/{repo.file('primary').relative_to(repo.root)}"
    repo.server.misbehave(path, fault)
    index = RpmIndex(path=repo.path, signed=Signed.INDEX, keyrings=(repo.keyring,))
    with pytest.raises((FetchError, IndexDamaged), match=told):
        index.look(Fetcher(timeout=0.2, retries=0), repo.url, WANTED, "", NOW)
    assert path in repo.requests
    assert names(look(repo, Signed.INDEX)) == LISTED


def test_one_that_is_older_than_it_was(repo: RpmRepo) -> None:
    where = Repository(
        name="baseos",
        distro="almalinux",
        series="9",
        arches=("amd64",),
        index=RpmIndex(path=repo.path, signed=Signed.NO),
        mirrors=(repo.url,),
        compiler="gcc-11",
    )
    repo.publish("--revision=1800000000", "--set-timestamp-to-revision")
    first = discovery.look(where, Fetcher(retries=0), now=NOW)
    [kernel] = first.kernels
    assert kernel.release == "5.14.0-503.el9.x86_64"
    (repo.folder / "Packages" / "kernel-devel-5.14.0-503.el9.x86_64.rpm").unlink()
    repo.publish("--revision=1700000000", "--set-timestamp-to-revision")
    known = {"known_digest": first.release_digest, "known_date": first.dated}
    with pytest.raises(Backwards, match="it is of 2023-11-14 22:13 UTC, and one of 2027-01-15 08:00 UTC was there"):
        discovery.look(where, Fetcher(retries=0), **known, now=NOW)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "<name>kernel-devel</name>",
            "<name>kernel-devel/../../x</name>",
            "'kernel-devel/../../x': not a package name",
        ),
        ("<name>kernel-devel</name>", "<name>kernel-devel$(reboot)</name>", "not a package name"),
        ('(kernel-devel</name>.*?)ver="5.14.0"', r'\1ver="5;reboot"', "'kernel-devel': not a version"),
        ('(kernel-devel</name>.*?)ver="5.14.0"', r'\1ver="5..14"', "'kernel-devel': not a version"),
        ('(kernel-devel</name>.*?)rel="503.el9"', r'\1rel="5-3"', "'kernel-devel': not a package release"),
        ('(kernel-devel</name>.*?)epoch="0"', r'\1epoch="x"', "'kernel-devel': not an epoch"),
        ("(kernel-devel</name>.*?)<checksum[^>]*>", r'\1<checksum type="crc32">', "'kernel-devel': not a checksum"),
        ('(kernel-devel</name>.*?)href="[^"]*"', r'\1href="//evil.example/x.rpm"', "not on the server of its index"),
        ('(kernel-devel</name>.*?)href="[^"]*"', r'\1href="a b.rpm"', "'kernel-devel': not a location"),
        ("(kernel-devel</name>.*?)<arch>x86_64", r"\1<arch>../x", "'kernel-devel': not a name of an architecture"),
        ('rel="503.el9.x86_64"', 'rel="503.el9.$(reboot)"', "not a package release: '503.el9.$(reboot)'"),
        ("(kernel-devel</name>.*?)<location [^>]*>", r"\1", "'kernel-devel': <package> has no <location>"),
        ("(kernel-devel</name>.*?)<summary>", r"\1<summary>&i;", "'kernel-devel': the entry is not XML"),
    ],
)
def test_one_odd_package_takes_nothing_else_down(repo: RpmRepo, old: str, new: str, told: str) -> None:
    repo.rewrite(old, new)
    found = look(repo)
    assert names(found) == [LISTED[0], LISTED[2]]
    [problem] = found.problems
    assert told in problem


@pytest.mark.parametrize(
    ("make", "told"),
    [
        ("CREATE TABLE other (a)", "no table 'packages'"),
        ("CREATE VIEW packages AS SELECT 1", "no table 'packages'"),
        ("CREATE VIRTUAL TABLE packages USING fts4(name)", "no table 'packages'"),
        ("CREATE TABLE packages (a); CREATE TABLE provides (a); CREATE TABLE requires (a)", "no such column"),
    ],
)
def test_a_database_that_is_something_else(repo: RpmRepo, tmp_path: Path, make: str, told: str) -> None:
    with sqlite3.connect(tmp_path / "x.sqlite") as database:
        database.executescript(make)
    database.close()
    with pytest.raises(IndexDamaged, match=told):
        look_at_database(repo, (tmp_path / "x.sqlite").read_bytes())


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + bytes(5000)])
def test_a_database_that_is_none(repo: RpmRepo, content: bytes) -> None:
    with pytest.raises(IndexDamaged, match=r"the primary database cannot be read|not a primary database"):
        look_at_database(repo, content)


def look_at_database(repo: RpmRepo, content: bytes) -> Snapshot:
    packed = gzip.compress(content)
    (repo.repodata / "odd.sqlite.gz").write_bytes(packed)
    (repo.repodata / "repomd.xml").write_text(
        f'<repomd><data type="primary_db"><location href="repodata/odd.sqlite.gz"/>'
        f'<checksum type="sha256">{hashlib.sha256(packed).hexdigest()}</checksum></data></repomd>'
    )
    return look(repo)
