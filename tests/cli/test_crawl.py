"""Two looks at the same repositories are the same, byte for byte: the recorded suites of Debian, on two mirrors."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from benchmarks.aptrepo import archive_key
from benchmarks.webserver import WebServer, page
from support.debian import SUITES, publish

pytestmark = pytest.mark.slow

WEB_PAGE = page("<html><body>It works!</body></html>")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("debian")
    publish(root, archive_key())
    return root


@pytest.fixture
def mirrors(mirror: Path) -> Iterator[tuple[WebServer, WebServer]]:
    with WebServer(mirror) as one, WebServer(mirror) as other:
        yield one, other


def follow(config: Path, urls: Sequence[str], *, backwards: bool = False) -> Path:
    """Writes a configuration that follows all of it. backwards: the same, said in another order."""
    config.mkdir()
    series: dict[str, list[object]] = {}
    for suite, of in SUITES.items():
        series.setdefault(of, []).append({"suite": suite, "keyring": str(archive_key().keyring)})
    step, arches = (-1, ["arm64", "amd64"]) if backwards else (1, ["amd64", "arm64"])
    targets = [
        {"distro": "debian", "series": name, "arches": arches, "repositories": repositories[::step]}
        for name, repositories in list(series.items())[::step]
    ]
    found = {
        "kmodci.yml": {"state": str(config / "state")},
        "known-failures.yml": {"known_failures": []},
        "modules.yml": {"modules": {"v4l2loopback": {"source": {"debian": "v4l2loopback-dkms", "suite": "sid"}}}},
        "targets.yml": {
            "mirrors": {"debian": list(urls)},
            "toolchains": {"gcc-12": {"distro": "debian", "series": "bookworm"}},
            "targets": targets,
        },
    }
    for name, content in found.items():
        (config / name).write_text(json.dumps(content))
    return config


def kmodci(config: Path, *arguments: str, seed: int) -> bytes:
    """What a process of its own prints."""
    command = [str(Path(sys.executable).with_name("kmodci")), *arguments, "--look", "--json", "--config", str(config)]
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    done = subprocess.run(command, capture_output=True, env=environment, check=False)
    assert (done.returncode, done.stderr[-500:]) == (0, b""), done.stderr
    return done.stdout


def test_two_looks_are_the_same(tmp_path: Path, mirrors: tuple[WebServer, WebServer]) -> None:
    one, other = mirrors
    urls = [one.url, other.url]
    first = kmodci(follow(tmp_path / "first", urls), "kernels", seed=1)
    assert len(json.loads(first)["kernels"]) == 249
    assert one.requests and not other.requests
    # another process, everything in another order
    assert kmodci(follow(tmp_path / "second", urls, backwards=True), "kernels", seed=2) == first
    # another mirror answers
    for suite in SUITES:
        one.misbehave(f"/dists/{suite}/InRelease", WEB_PAGE)
    assert kmodci(tmp_path / "first", "kernels", seed=3) == first
    assert other.requests
    # another is the first: the packages are named by it, and all else is as it was
    third = kmodci(follow(tmp_path / "third", urls[::-1]), "kernels", seed=4)
    assert third != first
    assert third.replace(other.url.encode(), one.url.encode()) == first


def test_what_is_wrong_with_them_is_told_in_the_same_order(tmp_path: Path) -> None:
    publish(tmp_path / "mirror", archive_key(), without="linux-kbuild-")
    times = ("last_ok", "last_try", "age_seconds")

    def told(seed: int) -> list[dict[str, object]]:
        found = json.loads(kmodci(tmp_path / "config", "kernels", "--sources", seed=seed))["sources"]
        return [{name: value for name, value in each.items() if name not in times} for each in found]

    with WebServer(tmp_path / "mirror") as server:
        follow(tmp_path / "config", [server.url])
        first = told(1)
        assert told(2) == first
    assert {each["name"] for each in first} == {f"{suite} main" for suite in SUITES}
    assert {each["kernels"] for each in first} == {0}
    # each architecture of each kernel lacks one
    assert [len(str(each["problems"]).split("linux-kbuild-")) > 2 for each in first] == [True] * len(SUITES)
