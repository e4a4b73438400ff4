"""Two mirrors that serve the same, one of which is faulty; and mirrors that a list names."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.webserver import WebServer, page, silent, status
from kmodci.downloads import Downloads
from kmodci.errors import FetchError, Gone, IndexDamaged, KmodciError
from kmodci.fallover import FallOver
from kmodci.fetch import Fetcher
from kmodci.model import Package

CONTENT = b"content" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
HTML = page("<html>We are closed</html>")
OTHER = page("x" * len(CONTENT))


@pytest.fixture
def mirrors(tmp_path: Path) -> Iterator[tuple[WebServer, WebServer]]:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "x.deb").write_bytes(CONTENT)
    with WebServer(tmp_path / "served") as one, WebServer(tmp_path / "served") as two:
        yield one, two


@pytest.fixture
def downloads(mirrors: tuple[WebServer, WebServer]) -> Downloads:
    return Downloads(Fetcher(timeout=0.2, retries=0), FallOver([[server.url for server in mirrors]]))


def got(downloads: Downloads, url: str, folder: Path) -> bytes:
    package = Package(name="x", version="1-1", arch="amd64", url=url, size=len(CONTENT), sha256=SHA256)
    downloads.package(package, folder / "x")
    return (folder / "x").read_bytes()


@pytest.mark.parametrize("fault", [HTML, OTHER, status(404), status(403), status(503), status(304), silent])
def test_the_next_mirror_has_it(
    mirrors: tuple[WebServer, WebServer], downloads: Downloads, tmp_path: Path, fault: Any
) -> None:
    one, two = mirrors
    one.misbehave("/x.deb", fault, fault)
    assert got(downloads, f"{one.url}/x.deb", tmp_path) == CONTENT
    assert downloads.get(f"{one.url}/x.deb", limit=len(CONTENT), sha256=SHA256) == CONTENT
    assert len(two.requests) == 2


def test_a_mirror_that_hangs_is_waited_for_once(
    mirrors: tuple[WebServer, WebServer], downloads: Downloads, tmp_path: Path
) -> None:
    one, two = mirrors
    one.misbehave("/x.deb", *[silent] * 9)
    for _ in range(3):
        assert got(downloads, f"{one.url}/x.deb", tmp_path) == CONTENT
    assert (len(one.requests), len(two.requests)) == (1, 3)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (status(404), status(410), Gone),
        (status(404), status(403), FetchError),
        (status(403), status(404), FetchError),
        (status(404), HTML, IndexDamaged),
        (HTML, status(404), IndexDamaged),
    ],
)
def test_a_file_is_gone_only_if_all_mirrors_say_so(
    mirrors: tuple[WebServer, WebServer], downloads: Downloads, tmp_path: Path, first: Any, second: Any, expected: Any
) -> None:
    one, two = mirrors
    one.misbehave("/x.deb", first)
    two.misbehave("/x.deb", second)
    with pytest.raises((FetchError, IndexDamaged)) as caught:
        got(downloads, f"{one.url}/x.deb", tmp_path)
    assert type(caught.value) is expected
    assert not (tmp_path / "x").exists()


def test_without_a_hash_any_content_will_do(mirrors: tuple[WebServer, WebServer], downloads: Downloads) -> None:
    one, _ = mirrors
    one.misbehave("/x.deb", OTHER)
    assert downloads.get(f"{one.url}/x.deb", limit=len(CONTENT)) == b"x" * len(CONTENT)


@pytest.fixture
def listed(tmp_path: Path) -> Iterator[WebServer]:
    """Three mirrors and a list of them; the third has the package."""
    root = tmp_path / "root"
    for name in ("one", "two", "three"):
        (root / name).mkdir(parents=True)
    (root / "three/kernel.rpm").write_bytes(CONTENT)
    with WebServer(root) as made:
        (root / "list").write_text("".join(f"{made.url}/{name}\n" for name in ("one", "two", "three")))
        yield made


def fetch(listed: WebServer, path: Path, url: str = "list#x86_64:kernel.rpm") -> bytes:
    return got(Downloads(Fetcher(retries=0), FallOver()), f"{listed.url}/{url}", path)


def test_by_its_url(listed: WebServer, tmp_path: Path) -> None:
    assert fetch(listed, tmp_path, "three/kernel.rpm") == CONTENT
    with pytest.raises(Gone):
        fetch(listed, tmp_path, "one/kernel.rpm")


def test_from_the_first_mirror_that_has_it_whole(listed: WebServer, tmp_path: Path) -> None:
    (listed.folder / "two/kernel.rpm").write_bytes(b"<html> not")
    assert fetch(listed, tmp_path) == CONTENT
    assert listed.requests == ["/list", "/one/kernel.rpm", "/two/kernel.rpm", "/three/kernel.rpm"]


@pytest.mark.parametrize(("two", "told"), [(status(404), Gone), (status(503), FetchError), (status(200), IndexDamaged)])
def test_it_is_gone_only_if_every_mirror_says_so(
    listed: WebServer, tmp_path: Path, two: object, told: type[KmodciError]
) -> None:
    (listed.folder / "three/kernel.rpm").unlink()
    listed.misbehave("/two/kernel.rpm", two)
    with pytest.raises(told) as fault:
        fetch(listed, tmp_path)
    assert type(fault.value) is told
    assert not (tmp_path / "x").exists()
