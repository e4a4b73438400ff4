import gzip
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kmodci.errors import FetchError, Gone
from kmodci.model import PackageKind
from kmodci.repos.base import Snapshot, Wanted
from kmodci.repos.sources import SourceKernel, SourcesIndex

CONFIG = b"CONFIG_X86_64=y\nCONFIG_MODULES=y\n"
NOW = datetime(2026, 11, 24, tzinfo=UTC)
KERNEL = SourceKernel(
    release="6.12.59-flatcar",
    tarball="https://cdn.example.org/linux-6.12.59.tar.xz",
    sha256="a" * 64,
    config="https://example.org/config",
    config_sha256=hashlib.sha256(CONFIG).hexdigest(),
)
OTHER = replace(KERNEL, release="6.12.60-flatcar", config="https://example.org/other")


class Files:
    """A server with these, and faults."""

    def __init__(self, files: Mapping[str, bytes | FetchError]) -> None:
        self.files = dict(files)
        self.asked: list[str] = []

    def get(self, url: str, *, limit: int) -> bytes:
        self.asked.append(url)
        found = self.files[url]
        if isinstance(found, FetchError):
            raise found
        return found

    @contextmanager
    def stream(self, url: str, *, limit: int) -> Iterator[Iterator[bytes]]:
        yield iter([self.get(url, limit=limit)])

    def get_unless(self, url: str, *, sha256: str, limit: int) -> bytes | None:
        raise AssertionError("not asked for")

    def post(self, url: str, body: bytes, *, kind: str, limit: int) -> bytes:
        raise AssertionError("not asked for")


def look(*kernels: SourceKernel, files: Files | None = None, known: str = "") -> Snapshot:
    server = files or Files({KERNEL.config: CONFIG, OTHER.config: CONFIG})
    index = SourcesIndex(kernels=kernels)
    return index.look(server, "targets.yml", Wanted(arches=("amd64",)), known, NOW)


def test_a_kernel_is_its_source_and_its_configuration() -> None:
    found = look(KERNEL)
    assert found.problems == ()
    assert found.listed is not None
    source, config = found.listed
    assert (source.name, source.version, source.arch) == ("linux-6.12.59-flatcar", "6.12.59-flatcar", "amd64")
    assert (source.kind, source.url, source.sha256, source.content) == ("source", KERNEL.tarball, "a" * 64, None)
    assert (config.kind, config.name, config.url) == ("config", source.name, KERNEL.config)
    assert (config.content, config.sha256) == (CONFIG, hashlib.sha256(CONFIG).hexdigest())
    assert config.package().kind is PackageKind.CONFIG


def test_nothing_is_read_again_unless_something_is_another(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(gzip.compress(CONFIG))
    own = replace(KERNEL, config=str(tmp_path / "config"), config_sha256="")
    first = look(own, OTHER)
    assert first.listed is not None
    assert {each.sha256 for each in first.listed if each.content} == {hashlib.sha256(CONFIG).hexdigest()}
    files = Files({})
    again = look(own, OTHER, files=files, known=first.digest)
    assert (again.listed, again.digest, files.asked) == (None, first.digest, [])
    (tmp_path / "config").write_bytes(CONFIG + b"CONFIG_X=y\n")
    assert look(own, OTHER, known=first.digest).listed is not None
    assert look(own, replace(OTHER, version="2"), known=first.digest).listed is not None


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (b"<html></html>", "not a kernel's configuration"),
        (b"CONFIG_X86_32=y\n", "the configuration is for neither amd64 nor arm64"),
        (Gone("https://example.org/other", "404"), "404"),
    ],
)
def test_one_that_cannot_be_had_takes_no_other_down(config: bytes | FetchError, why: str) -> None:
    sha256 = hashlib.sha256(config).hexdigest() if isinstance(config, bytes) else ""
    other = replace(OTHER, config_sha256=sha256)
    found = look(other, KERNEL, files=Files({KERNEL.config: CONFIG, OTHER.config: config}))
    [problem] = found.problems
    assert problem.startswith("6.12.60-flatcar: ")
    assert why in problem
    assert found.listed is not None
    assert {each.name for each in found.listed} == {"linux-6.12.59-flatcar"}
    assert look(other, KERNEL, files=Files({}), known=found.digest).listed is None


def test_a_server_that_does_not_answer_says_nothing_about_its_kernels() -> None:
    fault = FetchError(OTHER.config, "no answer")
    with pytest.raises(FetchError, match="no answer"):
        look(KERNEL, OTHER, files=Files({KERNEL.config: CONFIG, OTHER.config: fault}))


def test_hashes(tmp_path: Path) -> None:
    wrong = replace(KERNEL, config_sha256="b" * 64)
    found = look(wrong)
    assert found.listed == ()
    told = f"SHA256 {hashlib.sha256(CONFIG).hexdigest()}, but targets.yml says {'b' * 64}"
    assert found.problems == (f"6.12.59-flatcar: https://example.org/config: {told}",)
    (tmp_path / "symvers").write_bytes(b"0x1\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n")
    with_file = replace(KERNEL, symvers=str(tmp_path / "symvers"), symvers_sha256="b" * 64)
    found = look(with_file)
    assert found.listed == ()
    assert "SHA256" in found.problems[0]


def test_the_symvers_of_its_build(tmp_path: Path) -> None:
    content = b"0x1\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n"
    (tmp_path / "symvers").write_bytes(content)
    found = look(replace(KERNEL, symvers=str(tmp_path / "symvers")))
    assert found.listed is not None
    assert (found.listed[2].kind, found.listed[2].content) == ("symvers", content)
    found = look(replace(KERNEL, symvers="https://example.org/symvers", symvers_sha256="c" * 64))
    assert found.listed is not None
    assert (found.listed[2].content, found.listed[2].sha256) == (None, "c" * 64)
    found = look(replace(KERNEL, symvers=str(tmp_path / "none")))
    assert found.listed == ()
    assert "no such file" in found.problems[0]


@pytest.mark.parametrize("release", ["6.12.59-$(id)", "../../x", "6.12.59/../x"])
def test_hostile_releases(release: str) -> None:
    found = look(replace(KERNEL, release=release))
    assert found.listed == ()
    assert "not a kernel release" in found.problems[0]
