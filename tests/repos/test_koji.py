"""Koji: a hub with its calls, asked for kernels."""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from benchmarks.webserver import Handler, cut, endless, redirect, status
from kmodci.distros import DISTROS, Place
from kmodci.errors import FetchError, Gone, IndexDamaged
from kmodci.fetch import Fetcher
from kmodci.repos import koji
from kmodci.repos.base import Snapshot, Wanted
from kmodci.repos.koji import KojiIndex
from kmodci.repos.remembered import Remembered
from support.kojihub import DELETED, FAILED, KojiHub

pytestmark = pytest.mark.slow

WANTED = Wanted(prefixes=("kernel-devel", "kernel-rt-devel"), arches=("amd64",))
KEY = "105ef944"
DAY = 86_400.0
FIRST = 1_750_000_000.0
NOW = datetime.fromtimestamp(FIRST + 100 * DAY, UTC)
Add = Callable[..., None]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[KojiHub]:
    with KojiHub(tmp_path) as hub:
        yield hub


@pytest.fixture
def add(hub: KojiHub, tmp_path: Path) -> Add:
    """Has a kernel built, and signed if not told otherwise. No package is one: what a hub says is not in them."""

    def add(
        version: str, *, day: float, names: tuple[str, ...] = ("kernel-devel",), key: str = KEY, **more: Any
    ) -> None:
        rpms, copies = [], []
        for name in (*names, "kernel-core"):
            for arch in ("x86_64", "aarch64"):
                rpms.append(tmp_path / "built" / f"{name}-{version}.{arch}.rpm")
                copies.append(tmp_path / "signed" / rpms[-1].name)
                for file, content in ((rpms[-1], rpms[-1].name), (copies[-1], f"{rpms[-1].name} signed")):
                    file.parent.mkdir(exist_ok=True)
                    file.write_text(content)
        hub.add(version, rpms, completed=FIRST + day * DAY, signed={key: copies} if key else {}, **more)

    return add


def index(hub: KojiHub, folder: Path, **changes: Any) -> KojiIndex:
    settings = {"package": "kernel", "builds": "*.fc42", "newest": 50, "key": KEY}
    return KojiIndex(hub=hub.url, remembered=Remembered(folder / "kept"), **{**settings, **changes})


def looked(hub: KojiHub, folder: Path, known: str = "", *, now: datetime = NOW, **changes: Any) -> Snapshot:
    fetcher = Fetcher(timeout=2, retries=0)
    return index(hub, folder, **changes).look(fetcher, hub.files, WANTED, known, now)


def versions(snapshot: Snapshot) -> list[str]:
    assert snapshot.listed is not None
    return [each.version for each in snapshot.listed]


class TestListing:
    def test_the_signed_copies_of_all_builds_are_found(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.14.0-63.fc42", day=0)
        add("6.15.3-200.fc42", day=1, names=("kernel-devel", "kernel-rt-devel"))
        found = looked(hub, tmp_path)
        assert [(each.name, each.version, each.arch) for each in found.listed or ()] == [
            ("kernel-devel", "6.15.3-200.fc42", "amd64"),
            ("kernel-rt-devel", "6.15.3-200.fc42", "amd64"),
            ("kernel-devel", "6.14.0-63.fc42", "amd64"),
        ]
        assert found.problems == ()
        assert found.dated == datetime.fromtimestamp(FIRST + DAY, UTC)
        top = f"{hub.files}/packages/kernel/6.14.0/63.fc42/data/signed/105ef944/x86_64"
        last = (found.listed or ())[-1]
        assert last.url == f"{top}/kernel-devel-6.14.0-63.fc42.x86_64.rpm"
        for each in found.listed or ():
            content = Fetcher().get(each.url, limit=1000)
            assert content.endswith(b" signed")
            assert (each.sha256, each.size) == (hashlib.sha256(content).hexdigest(), 0)

    def test_they_are_kernels_of_fedora(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0, names=("kernel-devel", "kernel-rt-devel"))
        place = Place(distro="fedora", series="42", repository="koji", arches=("amd64",), compiler="gcc-14")
        found = DISTROS["fedora"].kernels(looked(hub, tmp_path).listed or (), place)
        assert [kernel.release for kernel in found.kernels] == ["6.15.3-200.fc42.x86_64", "6.15.3-200.fc42.x86_64+rt"]

    def test_the_packages_as_they_were_built(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0, key="")
        [found] = looked(hub, tmp_path, key="").listed or ()
        content = Fetcher().get(found.url, limit=1000)
        assert (
            found.url == f"{hub.files}/packages/kernel/6.15.3/200.fc42/x86_64/kernel-devel-6.15.3-200.fc42.x86_64.rpm"
        )
        assert (found.sha256, found.size) == (hashlib.sha256(content).hexdigest(), len(content))

    def test_another_volume(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0, volume="archive1")
        [found] = looked(hub, tmp_path).listed or ()
        assert found.url.startswith(f"{hub.files}/vol/archive1/packages/kernel/6.15.3/")
        assert Fetcher().get(found.url, limit=1000)

    def test_only_what_fits_and_is_finished(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.1-1.fc42", day=0)
        add("6.15.2-1.fc42", day=1, state=FAILED)
        add("6.15.3-1.fc42", day=2, state=DELETED)
        add("6.15.4-1.fc42", day=3, draft=True)
        add("6.15.5-1.fc41", day=4)
        # a hub finds this as well
        add("6.15.6-1.FC42", day=5)
        assert versions(looked(hub, tmp_path)) == ["6.15.1-1.fc42"]

    def test_so_many_as_are_asked_for(
        self, hub: KojiHub, add: Add, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(koji, "_PAGE", 4)
        for number in range(8):
            add(f"6.15.{number}-1.fc42", day=number)
        found = looked(hub, tmp_path, newest=6)
        assert versions(found) == [f"6.15.{number}-1.fc42" for number in range(7, 1, -1)]
        asked = [named["queryOpts"] for name, _, named in hub.calls if name == "listBuilds"]
        assert [(each["limit"], each["offset"]) for each in asked] == [(1, 0), (4, 0), (2, 4)]

    def test_a_hub_without_checksums(self, tmp_path: Path, add: Add, hub: KojiHub) -> None:
        add("6.15.3-200.fc42", day=0)
        del hub._methods["getRPMChecksums"]
        found = looked(hub, tmp_path)
        assert [(each.version, each.sha256) for each in found.listed or ()] == [("6.15.3-200.fc42", "")]
        # so it is asked again once there is something new, and says more then
        assert looked(hub, tmp_path, found.digest).listed is None

    def test_a_checksum_that_the_hub_has_not_stored(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0)
        for sums in hub.sums.values():
            sums[KEY] = {"sha256": None}
        assert [each.sha256 for each in looked(hub, tmp_path).listed or ()] == [""]


class TestChange:
    def test_an_unchanged_hub_costs_two_calls(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.14.0-63.fc42", day=0)
        add("6.15.3-200.fc42", day=1)
        first = looked(hub, tmp_path)
        assert hub.called() == [
            "getPackageID",
            "listBuilds",
            "listBuilds",
            *["listRPMs", "getRPMChecksums"] * 2,
        ]
        again = looked(hub, tmp_path, first.digest)
        assert (again.listed, again.digest, again.dated) == (None, first.digest, first.dated)
        assert hub.called() == ["getPackageID", "listBuilds"]

    def test_only_a_new_build_is_asked_for_its_packages(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.14.0-63.fc42", day=0)
        first = looked(hub, tmp_path)
        add("6.15.3-200.fc42", day=1)
        hub.called()
        second = looked(hub, tmp_path, first.digest)
        assert versions(second) == ["6.15.3-200.fc42", "6.14.0-63.fc42"]
        assert hub.called() == ["getPackageID", "listBuilds", "listBuilds", "listRPMs", "getRPMChecksums"]

    def test_what_was_remembered_and_what_is_read_now_are_the_same(
        self, hub: KojiHub, add: Add, tmp_path: Path
    ) -> None:
        known = ""
        for number in range(4):
            add(f"6.15.{number}-1.fc42", day=number)
            step = looked(hub, tmp_path, known)
            known = step.digest
        assert looked(hub, tmp_path / "another") == step
        # and whatever was asked before
        assert looked(hub, tmp_path) == step

    def test_a_build_that_ends_late_is_a_change(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        """Its number is lower than that of the newest."""
        add("6.14.0-63.fc42", day=9)
        add("6.15.3-200.fc42", day=1)
        first = looked(hub, tmp_path)
        hub.builds[1]["completion_ts"] = FIRST + 10 * DAY
        assert looked(hub, tmp_path, first.digest).digest != first.digest

    def test_a_build_is_waited_for_until_it_is_signed(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.14.0-63.fc42", day=0)
        add("6.15.3-200.fc42", day=99, key="")
        first = looked(hub, tmp_path)
        assert versions(first) == ["6.14.0-63.fc42"]
        assert first.problems == (
            "kernel-6.15.3-200.fc42: x86_64/kernel-devel-6.15.3-200.fc42.x86_64.rpm: not signed with 105ef944",
        )
        assert looked(hub, tmp_path, first.digest).listed is None
        hub.sign(tmp_path / "signed" / "kernel-devel-6.15.3-200.fc42.x86_64.rpm", KEY)
        second = looked(hub, tmp_path, first.digest)
        assert (versions(second), second.problems) == (["6.15.3-200.fc42", "6.14.0-63.fc42"], ())
        hub.called()
        assert looked(hub, tmp_path, second.digest).listed is None
        assert hub.called() == ["getPackageID", "listBuilds"]

    def test_but_not_for_ever(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.14.0-63.fc42", day=0, key="")
        first = looked(hub, tmp_path)
        assert (first.listed, len(first.problems)) == ((), 1)
        hub.called()
        assert looked(hub, tmp_path, first.digest).listed is None
        assert hub.called() == ["getPackageID", "listBuilds"]

    def test_other_questions_have_other_answers(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0, names=("kernel-devel", "kernel-rt-devel"))
        looked(hub, tmp_path)
        wanted = Wanted(prefixes=("kernel-rt",), arches=("arm64",))
        found = index(hub, tmp_path).look(Fetcher(), hub.files, wanted, "", NOW)
        assert [(each.name, each.arch) for each in found.listed or ()] == [("kernel-rt-devel", "arm64")]
        assert [each.sha256 for each in looked(hub, tmp_path, key="").listed or ()] != [
            each.sha256 for each in looked(hub, tmp_path).listed or ()
        ]


class TestErrors:
    def test_no_such_package(self, hub: KojiHub, tmp_path: Path) -> None:
        with pytest.raises(IndexDamaged, match="there is no package 'kernal'"):
            looked(hub, tmp_path, package="kernal")

    def test_no_such_build(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0)
        with pytest.raises(IndexDamaged, match=r"no build of kernel is like \*\.fc99"):
            looked(hub, tmp_path, builds="*.fc99")

    def test_a_fault(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0)
        del hub._methods["listRPMs"]
        with pytest.raises(FetchError, match="listRPMs: fault 1000: 'Invalid method: listRPMs'"):
            looked(hub, tmp_path)

    def test_a_fault_of_the_checksums_alone(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0)
        hub.sums.clear()
        with pytest.raises(FetchError, match=r"getRPMChecksums: fault 1: .*KeyError"):
            looked(hub, tmp_path)

    @pytest.mark.parametrize(
        ("where", "changes", "said"),
        [
            ("builds", {"version": "../../x"}, "version is '../../x'"),
            ("builds", {"release": "1.fc42; reboot.fc42"}, "release is '1.fc42; reboot.fc42'"),
            ("builds", {"build_id": "1"}, "build_id is '1'"),
            ("builds", {"build_id": -1}, "build_id is -1"),
            ("builds", {"volume_name": None}, "volume_name is None"),
            ("rpms", {"version": "6.15\n"}, r"version is '6.15\n'"),
            ("rpms", {"name": "kernel-devel/../x"}, "name is 'kernel-devel/../x'"),
            ("rpms", {"release": 200}, "release is 200"),
            ("rpms", {"size": "many"}, "size is 'many'"),
            ("rpms", {"size": None}, "size is None"),
            ("rpms", {"id": True}, "id is True"),
        ],
    )
    def test_an_odd_row_is_a_problem_and_takes_no_other_down(
        self, hub: KojiHub, add: Add, tmp_path: Path, where: str, changes: Mapping[str, Any], said: str
    ) -> None:
        add("6.14.0-63.fc42", day=0)
        add("6.15.3-200.fc42", day=1)
        if where == "builds":
            hub.builds[1].update(changes)
        else:
            for row in hub.rpms:
                if row["version"] == "6.15.3":
                    row.update(changes)
        found = looked(hub, tmp_path)
        assert versions(found) == ["6.14.0-63.fc42"]
        assert found.problems != ()
        assert all(said in problem for problem in found.problems)

    @pytest.mark.parametrize("name", ["getPackageID", "listBuilds", "listRPMs", "getRPMChecksums"])
    @pytest.mark.parametrize("value", ["a", 1.5, [1], [[]], True, {"x": 1}])
    def test_an_answer_of_another_type(self, hub: KojiHub, add: Add, tmp_path: Path, name: str, value: object) -> None:
        add("6.15.3-200.fc42", day=0)
        hub._methods[name] = lambda *arguments, **named: value  # type: ignore[assignment, misc]
        if name == "getRPMChecksums":
            found = looked(hub, tmp_path)
            assert (found.listed, len(found.problems)) == ((), 1)
            assert ("answers with" in found.problems[0]) == (value != {"x": 1})  # which is signed with no key
        else:
            with pytest.raises(IndexDamaged, match=f"{name} answers with"):
                looked(hub, tmp_path)

    def test_more_builds_than_were_asked_for(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        for number in range(3):
            add(f"6.15.{number}-1.fc42", day=number)
        hub._methods["listBuilds"] = lambda *arguments, **named: hub.builds
        with pytest.raises(IndexDamaged, match="3 builds, and 1 were asked for"):
            looked(hub, tmp_path)

    def test_a_date_that_is_none(self, hub: KojiHub, add: Add, tmp_path: Path) -> None:
        add("6.15.3-200.fc42", day=0)
        hub.builds[0]["completion_ts"] = 1e300
        with pytest.raises(IndexDamaged, match=r"completed at 1e\+300"):
            looked(hub, tmp_path)


def reply(content: bytes) -> Callable[[Handler], None]:
    return cut(content, announced=len(content))


BOMB = b"""<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<methodResponse><params><param><value><string>&b;</string></value></param></params></methodResponse>"""


class TestServer:
    @pytest.mark.parametrize(
        ("answer", "said"),
        [
            (reply(b"<html><body>Maintenance</body></html>"), "no answer of XML-RPC"),
            (reply(b"<!DOCTYPE html><html></html>"), "refused: DTDForbidden, as an XML bomb has it"),
            (reply(BOMB), "refused: DTDForbidden, as an XML bomb has it"),
            (reply(BOMB.decode().encode("utf-16")), "XML"),
            (reply(b""), "no answer of XML-RPC"),
            (reply(b"<methodResponse><params><param><value><int>many</int>"), "no answer of XML-RPC"),
            (reply(b"<methodResponse><params></params></methodResponse>"), "0 answers to one call"),
            (
                reply(b"<methodResponse><fault><value><int>1</int></value></fault></methodResponse>"),
                "no answer of XML-RPC",
            ),
            (endless, "longer than the 33554432 bytes"),
            (status(502), "502 Bad Gateway"),
            (status(401), "401 Unauthorized"),
            (status(304), "304 Not Modified"),
            (redirect("/elsewhere"), "302 Found"),
            (cut(b"<methodResponse>", announced=2_000_000_000), "broke off at 16 bytes"),
        ],
        ids=[
            "html",
            "html with a doctype",
            "bomb",
            "bomb in utf-16",
            "nothing",
            "no number",
            "no value",
            "half a fault",
            "endless",
            "502",
            "401",
            "304",
            "redirect",
            "cut off",
        ],
    )
    def test_another_answer(self, hub: KojiHub, tmp_path: Path, answer: Callable[[Handler], None], said: str) -> None:
        hub.server.misbehave("/kojihub", answer)
        with pytest.raises(FetchError, match=said):
            looked(hub, tmp_path)

    def test_the_wrong_path(self, hub: KojiHub, tmp_path: Path) -> None:
        where = KojiIndex(
            hub=f"{hub.files}/koji", package="kernel", builds="*", newest=1, remembered=Remembered(tmp_path)
        )
        with pytest.raises(Gone, match="/koji: the server answered 404"):
            where.look(Fetcher(retries=0), hub.files, WANTED, "", NOW)

    def test_a_hub_that_hangs(self, hub: KojiHub, tmp_path: Path) -> None:
        waiting: list[Handler] = []
        hub.server.misbehave("/kojihub", waiting.append)
        with pytest.raises(FetchError):
            index(hub, tmp_path).look(Fetcher(timeout=0.1, retries=0), hub.files, WANTED, "", NOW)
        assert len(waiting) == 1

    def test_numbers_of_64_bits(self, hub: KojiHub, tmp_path: Path) -> None:
        """As Koji writes them; the standard library, and so we, can read them and not write them."""
        answer = b"<methodResponse><params><param><value><i8>5000000000</i8></value></param></params></methodResponse>"
        hub.server.misbehave("/kojihub", reply(answer))
        with pytest.raises(IndexDamaged, match="getPackageID answers with 5000000000"):
            looked(hub, tmp_path)


def test_what_was_remembered_is_lost(hub: KojiHub, add: Add, tmp_path: Path) -> None:
    add("6.15.3-200.fc42", day=0)
    first = looked(hub, tmp_path)
    shutil.rmtree(tmp_path / "kept")
    assert looked(hub, tmp_path) == first
