"""What targets.yml may say of lists, and of kernels named by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kmodci.discovery import Repository, look
from kmodci.errors import SettingsError
from kmodci.fetch import Fetcher
from kmodci.repos.base import Signed
from kmodci.repos.crawler import CrawlerIndex
from kmodci.settings import Settings, load
from kmodci.where import repositories, trusted

Problems = Callable[[str], tuple[str, ...]]

LISTS = """\
toolchains:
  gcc-12: {distro: debian, series: bookworm}
targets:
  - distro: debian
    series: bookworm
    arches: [amd64, arm64]
    compiler: gcc-12
    repositories:
      - {suite: bookworm}
      - {suite: sid}
      - {name: crawled, crawler: 'https://a.example.org/$basearch.json', releases: [6.1.*], signed: no, reason: a list}
      - name: kept
        kernels:
          - release: 6.1.0-18-amd64
            version: 6.1.76-1
            headers:
              - {url: 'https://a.example.org/linux-headers-6.1.0-18-amd64_6.1.76-1_amd64.deb', sha256: HASH}
              - {url: 'https://a.example.org/linux-headers-6.1.0-18-common_6.1.76-1_all.deb', sha256: HASH}
              - {url: 'https://a.example.org/linux-kbuild-6.1_6.1.76-1_amd64.deb', sha256: HASH}
""".replace("HASH", "0" * 64)


def written(folder: Path, targets: str) -> Settings:
    (folder / "kmodci.yml").write_text("")
    (folder / "known-failures.yml").write_text("known_failures: []\n")
    (folder / "modules.yml").write_text("modules: {a: {source: {path: x}, version: 1}}\n")
    (folder / "targets.yml").write_text(targets)
    return load(folder)


@pytest.fixture
def problems(tmp_path: Path) -> Problems:
    def told(targets: str) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            written(tmp_path, targets)
        return tuple(problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems)

    return told


def test_lists_and_kernels_named_by_hand(tmp_path: Path) -> None:
    settings = written(tmp_path, LISTS.replace("https://a.example.org/$b", "lists/$b"))
    _, _, crawled, kept = repositories(settings, settings.find_scope()).values()
    assert crawled == Repository(
        name="debian-bookworm crawled",
        distro="debian",
        series="bookworm",
        arches=("amd64", "arm64"),
        index=CrawlerIndex(distribution="debian"),
        # relative to the file that names it
        mirrors=(f"{tmp_path}/lists/$basearch.json",),
        compiler="gcc-12",
        releases=("6.1.*",),
    )
    assert (kept.name, kept.releases) == ("debian-bookworm kept", ("*",))
    [kernel] = look(kept, Fetcher(), now=datetime.now(UTC)).kernels
    assert (kernel.release, kernel.version, len(kernel.headers)) == ("6.1.0-18-amd64", "6.1.76-1", 3)
    trust = trusted(settings)
    assert (trust[crawled.name].signed, trust[kept.name].signed) == (Signed.NO, Signed.INDEX)


def test_the_configurations_of_one_release_that_are_taken(tmp_path: Path) -> None:
    for given, versions in (("", ("*",)), ("versions: [1_*-aws, 1_*-metal], ", ("1_*-aws", "1_*-metal"))):
        settings = written(tmp_path, LISTS.replace("signed: no, reason: a list", f"{given}signed: no, reason: a list"))
        crawled = repositories(settings, settings.find_scope())["debian-bookworm crawled"]
        assert crawled.index == CrawlerIndex(distribution="debian", versions=versions)


@pytest.mark.parametrize(
    ("change", "line", "told"),
    [
        ((", signed: no, reason: a list", ""), 11, "repositories[2].signed is missing"),
        ((", reason: a list", ""), 11, "signed: no needs a reason"),
        (("signed: no", "signed: index, keyring: a.key"), 11, "signed: a list has no checksums"),
        (("signed: no", "signed: packages"), 11, "signed: packages needs a keyring"),
        (("$basearch", "x86_64"), 11, "there is a list for each architecture: write $basearch where they differ"),
        (("6.1.*", "6.1.$(id)"), 11, "not a pattern of kernel releases (6.1.*)"),
        (("signed: no", "versions: [], signed: no"), 11, "repositories[2].versions"),
        (("'https://a.example.org/$b", "'ftp://a.example.org/$b"), 11, "not a URL that can be used here"),
        (("    compiler: gcc-12\n", ""), 10, "debian bookworm needs compiler: gcc-N, which a list does not say"),
        (("release: 6.1.0-18-amd64", "release: 6.1.0-19-amd64"), 14, "its headers are of 6.1.0-18-amd64 6.1.76-1, not"),
        (("version: 6.1.76-1", "version: 6.1.76-2"), 14, "its headers are of 6.1.0-18-amd64 6.1.76-1, not of 6.1.0-18"),
        (("release: 6.1.0-18-amd64", "release: $(id)"), 14, "not a kernel release: '$(id)'"),
        (("/linux-kbuild-6.1_", "/linux-kbuild-6.9_"), 14, "comes without a linux-kbuild-* of its own"),
        (
            ("_6.1.76-1_amd64.deb", "_6.1.76-1_riscv64.deb"),
            14,
            "no kernel of debian for amd64 or arm64 in linux-headers",
        ),
        (("https://a.example.org/linux-k", "file:///linux-k"), 19, "headers[2].url: not a URL that can be used here"),
        (("_6.1.76-1_all.deb", "_6.1.76-1_all.iso"), 18, "headers[1].url: not the file name of a package"),
        (("0" * 64, "0" * 63), 17, "headers[0].sha256: not a SHA256"),
        ((", sha256: " + "0" * 64, ""), 17, "headers[0].sha256 is missing"),
        (("            headers:\n", "            heders:\n"), 14, "kernels[0].headers is missing"),
    ],
)
def test_a_mistake_in_a_list_or_a_kernel(problems: Problems, change: tuple[str, str], line: int, told: str) -> None:
    assert change[0] in LISTS
    found = problems(LISTS.replace(*change, 1))
    assert any(f"targets.yml:{line}: " in problem and told in problem for problem in found), found


def test_a_kernel_that_is_named_twice(problems: Problems) -> None:
    kernel = LISTS.partition("        kernels:\n")[2]
    [problem] = problems(LISTS + kernel)
    assert problem == "targets.yml:20: debian-bookworm-amd64/6.1.0-18-amd64 is here twice"
