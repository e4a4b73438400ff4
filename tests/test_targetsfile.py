"""Repositories of targets.yml that have their place in a list of mirrors."""

import json
import shutil
from pathlib import Path

import pytest
from kmodci.errors import SettingsError
from kmodci.repos.base import Signed
from kmodci.repos.mirrored import MirroredIndex
from kmodci.repos.rpm import RpmIndex
from kmodci.schema import Scope
from kmodci.settings import Settings, load
from kmodci.where import repositories

SHIPPED = Path(__file__).parent.parent / "config"
LIST = "https://lists.example/?repo=core&arch=$basearch"


def settings(folder: Path, *given: dict[str, object]) -> Settings:
    """The shipped ones, with these repositories of a series of Amazon Linux."""
    config = folder / "config"
    shutil.copytree(SHIPPED, config)
    targets = [
        {"distro": "debian", "series": "sid", "arches": ["amd64"], "repositories": [{"suite": "sid"}]},
        {"distro": "amzn", "series": "2023", "arches": ["amd64", "arm64"], "repositories": given, "compiler": "gcc-11"},
    ]
    toolchains = {"gcc-14": {"distro": "debian", "series": "sid"}}
    (config / "targets.yml").write_text(json.dumps({"toolchains": toolchains, "targets": targets}))
    (config / "kmodci.yml").write_text("{}")
    (config / "known-failures.yml").write_text("known_failures: []")
    (config / "modules.yml").write_text("modules: {a: {source: {path: a}, version: '1'}}")
    return load(config)


def repository(**more: object) -> dict[str, object]:
    return {"name": "core", "signed": "packages", "keyring": "keys/amazon", **more}


@pytest.mark.parametrize(("key", "is_metalink"), [("mirrorlist", False), ("metalink", True)])
def test_each_architecture_has_a_list_of_its_own(tmp_path: Path, key: str, is_metalink: bool) -> None:
    found = repositories(settings(tmp_path, repository(**{key: LIST})), Scope(kernels=("amzn-*/*",)))
    index = RpmIndex(signed=Signed.PACKAGES, keyrings=(tmp_path / "config/keys/amazon",))
    assert {name: (each.arches, each.mirrors, each.index) for name, each in found.items()} == {
        f"amzn-2023-{arch} core": (
            (arch,),
            (LIST.replace("$basearch", machine),),
            MirroredIndex(index=index, basearch=machine, is_metalink=is_metalink),
        )
        for arch, machine in {"amd64": "x86_64", "arm64": "aarch64"}.items()
    }


def test_a_repository_may_have_one_architecture_only(tmp_path: Path) -> None:
    one = repository(rpm="https://ports.example/oss", arches=["arm64"])
    other = repository(rpm="https://main.example/oss", arches=["amd64"])
    found = repositories(settings(tmp_path, one, other), Scope(kernels=("amzn-*/*",)))
    assert {name: each.mirrors for name, each in found.items()} == {
        "amzn-2023-arm64 core": ("https://ports.example/oss",),
        "amzn-2023-amd64 core": ("https://main.example/oss",),
    }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "should have exactly one of suite:, rpm:, mirrorlist:, metalink:"),
        ({"mirrorlist": LIST, "metalink": LIST}, "should have exactly one of"),
        ({"mirrorlist": LIST, "rpm": "https://one.example/x"}, "should have exactly one of"),
        ({"mirrorlist": LIST, "mirror": "amzn"}, "mirror"),
        ({"mirrorlist": "lists.example/core"}, "not a URL"),
        ({"mirrorlist": "file:///etc/mirrors"}, "not a URL"),
        ({"metalink": "https://user:secret@lists.example/core"}, "password"),
        ({"metalink": "https://lists.example/$releasever/core"}, "not the URL of a list"),
        ({"metalink": "https://lists.example/core#x86_64:x"}, "not the URL of a list"),
        ({"mirrorlist": LIST, "keyring": None}, "needs a keyring"),
        ({"mirrorlist": LIST, "arches": ["riscv64"]}, "amd64"),
    ],
)
def test_mistakes(tmp_path: Path, given: dict[str, object], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(tmp_path, repository(**given))
    assert any(told in problem for problem in caught.value.problems), caught.value
