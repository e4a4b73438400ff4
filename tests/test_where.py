"""What the configuration makes of repositories that have one index for each architecture."""

from datetime import date
from pathlib import Path

import pytest
from kmodci.repos.base import Signed, Trust
from kmodci.repos.koji import KojiIndex
from kmodci.repos.pacman import PacmanIndex
from kmodci.repos.pacmanarchive import PacmanArchive
from kmodci.repos.remembered import Remembered
from kmodci.repos.rpm import RpmIndex
from kmodci.schema import Scope
from kmodci.settings import Settings, load
from kmodci.where import repositories, trusted

TARGETS = """\
mirrors: {almalinux: [https://a.example/almalinux, https://b.example/almalinux], debian: https://d.example/debian}
toolchains: {gcc-12: {distro: debian, series: sid}}
targets:
  - {distro: debian, series: sid, arches: [amd64, arm64], repositories: [{suite: sid, keyring: debian.gpg}]}
  - distro: almalinux
    series: 9
    arches: [amd64, arm64]
    compiler: gcc-11
    repositories:
      - {name: baseos, rpm: /9/BaseOS/$basearch/os/, signed: packages, keyring: keys/alma}
      - {name: rt, rpm: "https://c.example/rt/$basearch", signed: no, reason: it is ours, arches: [amd64]}
  - distro: fedora
    series: 43
    arches: [amd64]
    enabled: false
    repositories: [{name: updates, rpm: "https://f.example/43", signed: index, keyring: keys/fedora}]
"""
MODULES = "modules: {m: {source: {path: x}, version: '1'}}\n"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "targets.yml").write_text(TARGETS)
    (tmp_path / "kmodci.yml").write_text("{}\n")
    (tmp_path / "modules.yml").write_text(MODULES)
    (tmp_path / "known-failures.yml").write_text("known_failures: []\n")
    return load(tmp_path)


def test_one_repository_per_architecture(settings: Settings, tmp_path: Path) -> None:
    found = repositories(settings, Scope())
    assert list(found) == ["sid main", "almalinux-9-amd64 baseos", "almalinux-9-arm64 baseos", "almalinux-9-amd64 rt"]
    assert found["sid main"].arches == ("amd64", "arm64")
    arm = found["almalinux-9-arm64 baseos"]
    assert (arm.name, arm.distro, arm.series, arm.arches) == ("almalinux-9-arm64 baseos", "almalinux", "9", ("arm64",))
    assert arm.mirrors == ("https://a.example/almalinux", "https://b.example/almalinux")
    assert arm.compiler == "gcc-11"
    keyrings = (tmp_path / "keys/alma",)
    assert arm.index == RpmIndex(path="9/BaseOS/aarch64/os", signed=Signed.PACKAGES, keyrings=keyrings)
    whole = found["almalinux-9-amd64 rt"]
    assert (whole.mirrors, whole.index) == (("https://c.example/rt/x86_64",), RpmIndex(signed=Signed.NO))


def test_a_scope_takes_some_of_them(settings: Settings) -> None:
    found = repositories(settings, Scope(kernels=("almalinux-9-arm64/*", "*-sid-amd64/*")))
    assert list(found) == ["sid main", "almalinux-9-arm64 baseos"]
    assert found["sid main"].arches == ("amd64",)


def test_what_has_to_vouch(settings: Settings, tmp_path: Path) -> None:
    assert trusted(settings) == {
        "sid main": Trust(),
        "almalinux-9-amd64 baseos": Trust(signed=Signed.PACKAGES, keyrings=(tmp_path / "keys/alma",)),
        "almalinux-9-arm64 baseos": Trust(signed=Signed.PACKAGES, keyrings=(tmp_path / "keys/alma",)),
        "almalinux-9-amd64 rt": Trust(signed=Signed.NO),
        "fedora-43-amd64 updates": Trust(signed=Signed.INDEX, keyrings=(tmp_path / "keys/fedora",)),
    }


OTHERS = """\
toolchains: {gcc-12: {distro: debian, series: sid}}
targets:
  - {distro: debian, series: sid, arches: [amd64], repositories: [{suite: sid, keyring: debian.gpg}]}
  - distro: arch
    series: rolling
    arches: [amd64]
    compiler: gcc-16
    repositories:
      - {pacman: core, signed: packages, keyring: keys/arch}
      - {pacman: ours, mirror: "https://o.example/arch", signed: index, keyring: keys/ours}
      - {pacman: core, mirror: "https://a.example", archive_since: 2026-11-01, signed: no, reason: a test}
  - distro: fedora
    series: 43
    arches: [amd64, arm64]
    compiler: gcc-15
    repositories:
      - name: koji
        koji: kernel
        hub: https://h.example/kojihub
        files: https://f.example
        builds: "*.fc43"
        newest: 7
        signed: packages
        key: 31645531
        keyring: keys/fedora
        arches: [arm64]
mirrors: {arch: https://m.example/arch}
"""


def test_repositories_of_pacman_and_koji(tmp_path: Path) -> None:
    for name, text in {"targets": OTHERS, "kmodci": "{}", "modules": MODULES, "known-failures": "{}"}.items():
        (tmp_path / f"{name}.yml").write_text(text)
    settings = load(tmp_path)
    found = repositories(settings, Scope())
    kept = Remembered(settings.state / "cache" / "listed")
    assert {name: (each.index, each.mirrors, each.arches) for name, each in found.items() if name != "sid main"} == {
        "arch-rolling-amd64 core": (PacmanIndex(repository="core"), ("https://m.example/arch",), ("amd64",)),
        "arch-rolling-amd64 ours": (
            PacmanIndex(repository="ours", keyrings=(tmp_path / "keys/ours",)),
            ("https://o.example/arch",),
            ("amd64",),
        ),
        "arch-rolling-amd64 core archive": (
            PacmanArchive(repository="core", since=date(2026, 11, 1), remembered=kept),
            ("https://a.example",),
            ("amd64",),
        ),
        "fedora-43-arm64 koji": (
            KojiIndex(
                hub="https://h.example/kojihub",
                package="kernel",
                builds="*.fc43",
                newest=7,
                key="31645531",
                remembered=kept,
            ),
            ("https://f.example",),
            ("arm64",),
        ),
    }
    assert trusted(settings)["arch-rolling-amd64 core"].signed is Signed.PACKAGES
    assert trusted(settings)["fedora-43-arm64 koji"].keyrings == (tmp_path / "keys/fedora",)
