"""Repositories as createrepo_c makes them, each on several mirrors, which are folders of one server here."""

import hashlib
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from benchmarks.rpmrepo import RpmRepo, make_kernel_rpm
from benchmarks.webserver import status
from kmodci.errors import Gone, IndexDamaged
from kmodci.fetch import Fetcher
from kmodci.repos.base import Signed, Snapshot, Wanted
from kmodci.repos.mirrored import MirroredFile, MirroredIndex, urls
from kmodci.repos.rpm import RpmIndex

WANTED = Wanted(prefixes=("kernel-devel",), arches=("amd64",))
NOW = datetime(2026, 11, 24, tzinfo=UTC)
FETCHER = Fetcher(retries=0)


class Mirrored:
    """A repository with mirrors, `one` and any others, and lists of them."""

    def __init__(self, repo: RpmRepo) -> None:
        self.repo = repo

    @property
    def list(self) -> str:
        return f"{self.repo.url}/lists/x86_64"

    def mirror(self, name: str) -> Path:
        """Makes a mirror as the repository is now."""
        folder = self.repo.root / name / "x86_64"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.repo.folder, folder)
        return folder

    def write(self, content: str) -> None:
        path = self.repo.root / "lists" / "x86_64"
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    def plain(self, *names: str) -> None:
        self.write("".join(f"{self.repo.url}/{name}/$basearch/\n" for name in names))

    def metalink(self, *names: str) -> None:
        """Of the repository as it is now."""
        digest = hashlib.sha256((self.repo.repodata / "repomd.xml").read_bytes()).hexdigest()
        sha256 = f'<hash type="sha256">{digest}</hash>'
        found = "".join(f"<url>{self.repo.url}/{name}/x86_64/repodata/repomd.xml</url>" for name in names)
        self.write(
            '<metalink xmlns="http://www.metalinker.org/"><files><file name="repomd.xml"><verification>'
            f"{sha256}</verification><resources>{found}</resources></file></files></metalink>"
        )

    def look(self, known: str = "", *, is_metalink: bool = False, signed: Signed = Signed.NO) -> Snapshot:
        rpm = RpmIndex(signed=signed, keyrings=(self.repo.keyring,))
        index = MirroredIndex(index=rpm, basearch="x86_64", is_metalink=is_metalink)
        return index.look(FETCHER, self.list, WANTED, known, NOW)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_kernel_rpm(tmp_path_factory.mktemp("packages"), "5.14.0", "503.el9")


@pytest.fixture
def mirrored(tmp_path: Path, package: Path) -> Iterator[Mirrored]:
    with RpmRepo(tmp_path) as repo:
        repo.add(package)
        repo.publish()
        yield Mirrored(repo)


def named(snapshot: Snapshot) -> list[str]:
    assert snapshot.listed is not None
    return [each.url for each in snapshot.listed]


class TestNames:
    @pytest.mark.parametrize(
        ("url", "path"),
        [
            ("https://one.example/f41/x86_64/Packages/k/kernel.rpm", "Packages/k/kernel.rpm"),
            ("https://one.example/f41/blob/ab/kernel.rpm", "../blob/ab/kernel.rpm"),
            ("https://one.example/kernel%5E1.rpm", "../../kernel%5E1.rpm"),
        ],
    )
    def test_a_file_is_called_by_its_list_and_found_at_any_mirror(self, url: str, path: str) -> None:
        file = MirroredFile.of(url, "https://one.example/f41/x86_64", "https://lists.example/l?a=b", "x86_64")
        assert file == MirroredFile(list="https://lists.example/l?a=b", basearch="x86_64", path=path)
        assert str(file) == f"https://lists.example/l?a=b#x86_64:{path}"
        assert MirroredFile.parse(str(file)) == file
        assert file.at("https://one.example/f41/x86_64") == url
        assert file.at("http://two.example:81/pub/f41/x86_64") == url.replace(
            "one.example", "two.example:81/pub"
        ).replace("https", "http")

    @pytest.mark.parametrize(
        "path", ["../../../../../x", "//two.example/x", "/x", "https://two.example/x", "..//../../x"]
    )
    def test_no_name_leads_to_another_server(self, path: str) -> None:
        url = MirroredFile(list="https://lists.example/l", basearch="x86_64", path=path).at("https://one.example/a")
        assert url.startswith("https://one.example/")
        assert ".." not in url

    @pytest.mark.parametrize("url", ["https://one.example/kernel.rpm", "https://one.example/kernel.rpm#frag", "x"])
    def test_any_other_url_is_itself(self, url: str) -> None:
        assert urls(url, FETCHER) == (url,)


class TestList:
    def test_the_packages_are_called_the_same_whichever_mirror_answers(self, mirrored: Mirrored, package: Path) -> None:
        mirrored.mirror("one"), mirrored.mirror("two")
        mirrored.plain("one", "two")
        first = mirrored.look()
        mirrored.plain("two", "one")
        assert mirrored.look() == first
        assert named(first) == [f"{mirrored.list}#x86_64:Packages/{package.name}"]
        read = [path for path in mirrored.repo.requests if "repomd" in path]
        assert read == ["/one/x86_64/repodata/repomd.xml", "/two/x86_64/repodata/repomd.xml"]

    def test_the_mirror_that_answered_is_told(self, mirrored: Mirrored) -> None:
        mirrored.mirror("one")
        mirrored.plain("none", "one")
        assert mirrored.look().base == f"{mirrored.repo.url}/one/x86_64"

    def test_what_is_beside_the_index_is_found_as_well(self, mirrored: Mirrored, package: Path) -> None:
        """As Amazon's packages are, which several repositories share."""
        mirrored.repo.publish("--location-prefix", "../../blobstore/ab")
        mirrored.mirror("one"), mirrored.mirror("deeper/two")
        mirrored.plain("deeper/two", "one")
        first = mirrored.look()
        mirrored.plain("one", "deeper/two")
        assert mirrored.look() == first
        [url] = named(first)
        assert url == f"{mirrored.list}#x86_64:../../blobstore/ab/Packages/{package.name}"
        assert urls(url, FETCHER) == tuple(
            f"{mirrored.repo.url}/{place}blobstore/ab/Packages/{package.name}" for place in ("", "deeper/")
        )

    def test_what_has_not_changed_is_not_read_again_at_whichever_mirror(self, mirrored: Mirrored) -> None:
        mirrored.mirror("one"), mirrored.mirror("two")
        mirrored.plain("one")
        before = mirrored.look()
        mirrored.plain("two")
        after = mirrored.look(before.digest)
        assert (after.listed, after.digest) == (None, before.digest)

    def test_the_first_mirror_that_answers_as_it_should_is_read(self, mirrored: Mirrored) -> None:
        mirrored.repo.publish(sign=True)
        for name in ("unsigned", "forged", "page", "away", "good", "spare"):
            mirrored.mirror(name)
        (mirrored.repo.root / "unsigned/x86_64/repodata/repomd.xml.asc").unlink()
        forged = mirrored.repo.root / "forged/x86_64/repodata/repomd.xml"
        forged.write_text(forged.read_text() + "<!-- -->")
        (mirrored.repo.root / "page/x86_64/repodata/repomd.xml").write_text("<html>Moved</html>")
        mirrored.repo.server.misbehave("/away/x86_64/repodata/repomd.xml", status(503))
        mirrored.plain("none", "unsigned", "forged", "page", "away", "good", "spare")
        assert len(named(mirrored.look(signed=Signed.INDEX))) == 1
        asked = [path for path in mirrored.repo.requests if path.endswith("repomd.xml")]
        assert [path.split("/")[1] for path in asked] == ["none", "unsigned", "forged", "page", "away", "good"]

    def test_what_is_older_than_what_was_seen_is_passed_over(self, mirrored: Mirrored, tmp_path: Path) -> None:
        mirrored.mirror("old")
        mirrored.repo.add(make_kernel_rpm(tmp_path, "5.14.0", "504.el9"))
        mirrored.repo.publish("--set-timestamp-to-revision", "--revision", "4000000000")
        mirrored.mirror("new")
        mirrored.plain("new", "old")
        first = mirrored.look()
        mirrored.plain("old", "new")
        again = mirrored.look(first.digest)
        assert (again.listed, again.digest) == (None, first.digest)
        mirrored.plain("old")
        with pytest.raises(IndexDamaged, match="was newer before"):
            mirrored.look(first.digest)
        assert len(named(mirrored.look())) == 1

    def test_if_none_does_the_first_fault_is_told(self, mirrored: Mirrored) -> None:
        mirrored.mirror("unsigned")
        mirrored.plain("unsigned", "none")
        with pytest.raises(IndexDamaged, match="not signed"):
            mirrored.look(signed=Signed.INDEX)

    def test_not_all_of_a_long_list_are_tried(self, mirrored: Mirrored) -> None:
        mirrored.plain(*(f"m{number}" for number in range(200)))
        with pytest.raises(Gone, match="m0/x86_64"):
            mirrored.look()
        assert len(mirrored.repo.requests) == 1 + 8

    def test_a_list_that_is_none_is_told_with_its_url(self, mirrored: Mirrored) -> None:
        mirrored.write("<html>Not here</html>")
        with pytest.raises(IndexDamaged, match=r"/lists/x86_64: .*metalink"):
            mirrored.look()

    def test_a_list_that_is_not_there(self, mirrored: Mirrored) -> None:
        with pytest.raises(Gone, match="/lists/x86_64"):
            mirrored.look()


class TestMetalink:
    def test_a_mirror_that_lags_behind_is_passed_over(self, mirrored: Mirrored, tmp_path: Path) -> None:
        mirrored.mirror("old")
        mirrored.repo.add(make_kernel_rpm(tmp_path, "5.14.0", "504.el9"))
        mirrored.repo.publish()
        mirrored.mirror("new")
        mirrored.metalink("old", "new")
        assert len(named(mirrored.look(is_metalink=True))) == 2

    def test_if_all_lag_behind_that_is_told(self, mirrored: Mirrored, tmp_path: Path) -> None:
        mirrored.mirror("old")
        mirrored.repo.add(make_kernel_rpm(tmp_path, "5.14.0", "504.el9"))
        mirrored.repo.publish()
        mirrored.metalink("old")
        with pytest.raises(IndexDamaged, match="not the newest"):
            mirrored.look(is_metalink=True)

    def test_a_plain_list_does_not_pass_for_one(self, mirrored: Mirrored) -> None:
        mirrored.mirror("one")
        mirrored.plain("one")
        with pytest.raises(IndexDamaged, match="no metalink"):
            mirrored.look(is_metalink=True)

    def test_as_a_list_its_hash_counts_as_well(self, mirrored: Mirrored) -> None:
        mirrored.mirror("one")
        mirrored.metalink("one")
        (mirrored.repo.root / "one/x86_64/repodata/repomd.xml").write_text("<repomd></repomd>")
        with pytest.raises(IndexDamaged, match="not the newest"):
            mirrored.look()
