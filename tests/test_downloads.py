import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.webserver import WebServer, status
from kmodci.downloads import download
from kmodci.errors import FetchError, Gone, IndexDamaged, KmodciError
from kmodci.fetch import Fetcher
from kmodci.model import Package

CONTENT = b"a package"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[WebServer]:
    """Three mirrors and a list of them; the third has the package."""
    root = tmp_path / "root"
    for name in ("one", "two", "three"):
        (root / name).mkdir(parents=True)
    (root / "three/kernel.rpm").write_bytes(CONTENT)
    with WebServer(root) as made:
        (root / "list").write_text("".join(f"{made.url}/{name}\n" for name in ("one", "two", "three")))
        yield made


def fetch(server: WebServer, path: Path, url: str = "list#x86_64:kernel.rpm") -> bytes:
    package = Package(
        name="kernel-devel",
        version="1-1",
        arch="amd64",
        url=f"{server.url}/{url}",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )
    download(package, path / "package", Fetcher(retries=0))
    return (path / "package").read_bytes()


def test_by_its_url(server: WebServer, tmp_path: Path) -> None:
    assert fetch(server, tmp_path, "three/kernel.rpm") == CONTENT
    with pytest.raises(Gone):
        fetch(server, tmp_path, "one/kernel.rpm")


def test_from_the_first_mirror_that_has_it_whole(server: WebServer, tmp_path: Path) -> None:
    (server.folder / "two/kernel.rpm").write_bytes(b"<html> not")
    assert fetch(server, tmp_path) == CONTENT
    assert server.requests == ["/list", "/one/kernel.rpm", "/two/kernel.rpm", "/three/kernel.rpm"]


@pytest.mark.parametrize(("two", "told"), [(status(404), Gone), (status(503), FetchError), (status(200), IndexDamaged)])
def test_it_is_gone_only_if_every_mirror_says_so(
    server: WebServer, tmp_path: Path, two: object, told: type[KmodciError]
) -> None:
    (server.folder / "three/kernel.rpm").unlink()
    server.misbehave("/two/kernel.rpm", two)
    with pytest.raises(told) as fault:
        fetch(server, tmp_path)
    assert type(fault.value) is told
    assert not (tmp_path / "package").exists()
