"""Both schemas of kernel-crawler's lists (tests/data/crawler/ORIGIN)."""

import base64
import json
from pathlib import Path

import pytest
from kmodci.errors import IndexDamaged
from kmodci.repos.crawlerlist import Entry, KernelList, read_list

DATA = Path(__file__).parent.parent / "data" / "crawler"


def read(schema: str, distribution: str, machine: str = "x86_64") -> KernelList:
    return read_list([(DATA / schema / f"{machine}.json").read_bytes()], distribution)


def listed(*entries: object, key: str = "debian") -> KernelList:
    return read_list([json.dumps({key: entries}).encode()], "debian")


GOOD = {
    "kernelrelease": "6.1.76-1-amd64",
    "kernelversion": "1",
    "target": "debian",
    "headers": ["http://a/b", "http://a/a"],
}


def test_the_first_schema() -> None:
    [debian] = read("2022", "debian").entries
    assert (debian.release, debian.version, len(debian.headers)) == ("5.10.127-1-amd64", "1", 6)
    [ubuntu] = read("2022", "ubuntu").entries
    assert ubuntu.version == "26~16.04.1"
    assert [read("2022", name).entries[0].release for name in ("amazonlinux2", "ol", "flatcar")] == [
        "4.14.268-205.500.amzn2.x86_64",
        "3.10.0-1062.1.1.el7.x86_64",
        "3033.2.0",
    ]


def test_the_schema_of_today() -> None:
    assert len(read("2026", "debian").entries) == 4
    assert [entry.version for entry in read("2026", "ol").entries] == ["2"]
    [redhat] = read("2026", "redhat").entries
    assert (redhat.headers, redhat.config) == ((), "")
    [flatcar] = read("2026", "flatcar").entries
    assert b"# Linux/x86 6.1.77-flatcar Kernel Configuration" in base64.b64decode(flatcar.config)
    # in which order they are listed says nothing
    assert [entry.version for entry in read("2026", "minikube").entries] == ["1_1.33.0", "1_1.32.0"]


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ("AmazonLinux2", "amazonlinux2"),
        ("AliyunLinux", "alinux"),
        ("ArchLinux", "arch"),
        ("BottleRocket", "bottlerocket"),
        ("OpenSUSE", "opensuse"),
        ("OracleLinux", "ol"),
        ("Oracle8", "ol"),
        ("PhotonOS", "photon"),
        ("RockyLinux", "rocky"),
        ("ol", "ol"),
    ],
)
def test_a_distribution_is_found_under_each_of_its_names(former: str, today: str) -> None:
    document = json.dumps({"debian": [], former: [GOOD]}).encode()
    assert len(read_list([document], today).entries) == 1


def test_the_order_of_a_list_says_nothing() -> None:
    other = {**GOOD, "kernelrelease": "6.1.90-1-amd64"}
    turned = {**GOOD, "headers": [*reversed(GOOD["headers"])]}
    assert listed(GOOD, other) == listed(other, turned, GOOD)
    assert listed(GOOD).entries[0].headers == ("http://a/a", "http://a/b")


@pytest.mark.parametrize(
    "odd",
    [
        None,
        "6.1.76-1-amd64",
        [],
        {},
        {**GOOD, "kernelrelease": 6},
        {**GOOD, "kernelversion": None},
        {**GOOD, "kernelversion": ["1"]},
        {**GOOD, "headers": "http://a/b"},
        {**GOOD, "headers": ["http://a/b", 3]},
        {**GOOD, "headers": {"a": "b"}},
        {**GOOD, "headers": [f"http://a/{n}" for n in range(65)]},
        {**GOOD, "kernelconfigdata": 3},
    ],
)
def test_one_odd_entry_is_told_and_hurts_no_other(odd: object) -> None:
    found = listed(odd, GOOD)
    assert [entry.release for entry in found.entries] == ["6.1.76-1-amd64"]
    [problem] = found.problems
    assert problem.startswith("entry 1: ")
    assert len(problem) < 250


def test_what_an_entry_says_is_printed_as_text() -> None:
    entry = Entry(release="6.1\x1b[2J\n$(id)\u202e" + "x" * 500, version="\x00")
    assert entry.title.isprintable()
    assert len(entry.title) < 200


def test_a_distribution_that_is_left_out_is_not_one_without_kernels() -> None:
    with pytest.raises(IndexDamaged, match="no kernel of 'photon'; it has: 'amazonlinux2023', 'ol', 'arch'"):
        read("2026", "photon")
    with pytest.raises(IndexDamaged, match="no kernel of 'debian'; it has: nothing"):
        read_list([b"{}"], "debian")
    with pytest.raises(IndexDamaged, match="no kernel of 'debian'"):
        listed()
    with pytest.raises(IndexDamaged, match="no kernel of 'debian'"):
        listed(None, 3)


def test_a_list_that_is_too_long() -> None:
    document = b'{"debian": [' + b"[]," * 100_000 + b"[]]}"
    with pytest.raises(IndexDamaged, match="more than 100000 entries"):
        read_list([document], "debian")
