from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.errors import IndexDamaged
from kmodci.release import BadName
from kmodci.repos.base import Wanted
from kmodci.repos.primary import scan_primary
from kmodci.repos.repodata import located

REPOSITORY = "http://mirror.example/9/BaseOS/x86_64/os"
WANTED = Wanted(prefixes=("kernel-devel",), arches=("amd64",))
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<!-- made -->\n<metadata xmlns="http://linux.duke.edu/metadata/common" '
    'xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="{count}">\n'
)


def entry(name: str, version: str, arch: str = "x86_64", more: str = "") -> str:
    return (
        f'<package type="rpm"><name>{name}</name><arch>{arch}</arch><version epoch="0" ver="{version}" rel="1"/>'
        f'<checksum type="sha256" pkgid="YES">{"a" * 64}</checksum><packager>{more}</packager>'
        f'<size package="10"/><location href="{name}-{version}.rpm"/><format><rpm:sourcerpm/></format></package>\n'
    )


def document(*entries: str) -> bytes:
    return f"{HEAD.format(count=len(entries))}{''.join(entries)}</metadata>".encode()


INDEX = document(
    entry("bash", "1"),
    entry("kernel-devel", "1"),
    entry("kernel-devel", "2", "i686"),
    entry("kernel-devel", "3", "src"),
    entry("other", "1", more="<![CDATA[<name>kernel-devel-fake</name>]]>"),
    entry("kernel-devel-matched", "1"),
    entry("kernel-devel", "4"),
)


def versions(chunks: list[bytes]) -> list[str]:
    scan = scan_primary(chunks, repository=REPOSITORY, wanted=WANTED)
    assert scan.problems == ()
    return [f"{each.name} {each.version}" for each in scan.listed]


@given(st.lists(st.integers(0, len(INDEX)), max_size=20))
def test_however_it_comes_the_answer_is_the_same(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(INDEX)]
    chunks = [INDEX[begin:end] for begin, end in pairwise(places)]
    # a name that another element quotes is no package's
    assert versions(chunks) == ["kernel-devel 1-1", "kernel-devel-matched 1-1", "kernel-devel 4-1"]


@pytest.mark.parametrize("index", [document(), b'<metadata packages="0"/>', document(entry("bash", "1"))])
def test_nothing_of_what_is_wanted(index: bytes) -> None:
    assert versions([index]) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a primary index: it begins with b''"),
        (b"<html><body>502</body></html>", "not a primary index"),
        (INDEX[:-5], "cut off"),
        (INDEX[:-30], "outside of any"),
        (INDEX.replace(b"</package>", b""), "outside of any|cut off|has none"),
        (document().replace(b'"0"', b'"7"'), "says it has 7 packages, and has none"),
        (b"<!DOCTYPE a []>" + INDEX, "document type"),
        (INDEX.replace(b"<!-- made -->", b'<!DOCTYPE a [<!ENTITY b "c">]>'), "document type"),
    ],
)
def test_what_is_no_primary_index(content: bytes, told: str) -> None:
    with pytest.raises(IndexDamaged, match=told):
        versions([content])


def test_a_package_that_never_ends() -> None:
    def endless():
        yield HEAD.encode() + b"<package>"
        while True:
            yield b"x" * (1 << 20)

    with pytest.raises(IndexDamaged, match="no package ends within 16 MiB"):
        scan_primary(endless(), repository=REPOSITORY, wanted=WANTED)


def test_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kmodci.repos.primary.MOST", 2)
    with pytest.raises(IndexDamaged, match="more than 2 packages"):
        versions([INDEX])


AMAZON = "https://cdn.amazonlinux.com/al2023/core/guids/9cf1/x86_64"


@pytest.mark.parametrize(
    ("repository", "href", "base", "url"),
    [
        (REPOSITORY, "Packages/k/k-1.rpm", "", f"{REPOSITORY}/Packages/k/k-1.rpm"),
        (f"{REPOSITORY}/", "./k-1^git.rpm", "", f"{REPOSITORY}/k-1%5Egit.rpm"),
        (AMAZON, "../../../../blobstore/97cf/k.rpm", "", "https://cdn.amazonlinux.com/al2023/blobstore/97cf/k.rpm"),
        (REPOSITORY, "k.rpm", "http://mirror.example/pool", "http://mirror.example/pool/k.rpm"),
        (REPOSITORY, "k.rpm", "../pool", "http://mirror.example/9/BaseOS/x86_64/pool/k.rpm"),
        (REPOSITORY, "../../../../../../../k.rpm", "", "http://mirror.example/k.rpm"),
    ],
)
def test_where_a_file_is(repository: str, href: str, base: str, url: str) -> None:
    assert located(repository, href, base) == url


@pytest.mark.parametrize(
    ("href", "base"),
    [
        ("http://169.254.169.254/latest/", ""),
        ("//other.example/k.rpm", ""),
        ("k.rpm", "http://other.example/"),
        ("k.rpm", "media://1323560292.885204#1"),
        ("k.rpm", "https://mirror.example/"),
        ("file:///etc/passwd", ""),
        ("", ""),
        ("Packages/", ""),
        ("a b.rpm", ""),
        ("k.rpm\n", ""),
        ("k.rpm?x=1", ""),
        ("%2e%2e/%2e%2e/k.rpm", ""),
        ("é.rpm", ""),
    ],
)
def test_where_no_file_is_looked_for(href: str, base: str) -> None:
    with pytest.raises(BadName):
        located(REPOSITORY, href, base)
