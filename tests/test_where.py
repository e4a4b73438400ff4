"""What the configuration makes of repositories that have one index for each architecture."""

from pathlib import Path

import pytest
from kmodci.repos.base import Signed, Trust
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


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "targets.yml").write_text(TARGETS)
    (tmp_path / "kmodci.yml").write_text("{}\n")
    (tmp_path / "modules.yml").write_text("modules: {m: {source: {path: x}, version: '1'}}\n")
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
