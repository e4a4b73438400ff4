import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo, make_deb
from kmodci import mirrors
from kmodci.errors import KmodciError
from kmodci.mirrors import system_keyrings, system_mirrors


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    system_mirrors.cache_clear()
    yield
    system_mirrors.cache_clear()


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[AptRepo]:
    with AptRepo(tmp_path, label="Debian-Security", arches=["amd64"]) as repo:
        repo.add(make_deb(tmp_path, "something", version="1"))
        repo.publish()
        yield repo


@pytest.fixture
def apt(tmp_path: Path, repo: AptRepo, monkeypatch: pytest.MonkeyPatch) -> None:
    """An apt of its own that knows this repository only, and has read nothing yet."""
    root = tmp_path / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial", "etc"):
        (root / folder).mkdir(parents=True)
    (root / "state/status").touch()
    (root / "etc/sources.list").write_text(f"deb [arch=amd64 signed-by={repo.keyring}] {repo.url} {repo.suite} main\n")
    (root / "apt.conf").write_text(
        f'Dir::State "{root}/state/"; Dir::State::status "{root}/state/status"; Dir::Cache "{root}/cache/";\n'
        f'Dir::Etc::SourceList "{root}/etc/sources.list"; Dir::Etc::SourceParts "/dev/null";\n'
        'APT::Sandbox::User ""; APT::Architecture "amd64"; Acquire::Languages "none"; Acquire::http::Proxy "DIRECT";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(root / "apt.conf"))


@pytest.mark.usefixtures("apt")
def test_the_mirror_is_what_apt_says(repo: AptRepo) -> None:
    with pytest.raises(KmodciError, match="names no Debian mirror") as caught:
        system_mirrors()
    assert "apt-get update" in caught.value.hint
    subprocess.run(["apt-get", "update"], check=True, capture_output=True)
    assert system_mirrors() == {"debian-security": repo.url}


def test_without_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KmodciError, match="no apt"):
        system_mirrors()


def test_the_archives_keys_are_on_a_debian_machine() -> None:
    assert all(keyring.is_file() for keyring in system_keyrings("debian"))


def test_one_distributions_keys_are_never_taken_for_anothers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mirrors, "_FOLDER", tmp_path)
    (tmp_path / "debian-archive-keyring.gpg").touch()
    assert system_keyrings("debian") == (tmp_path / "debian-archive-keyring.gpg",)
    with pytest.raises(KmodciError, match=r"ubuntu-archive-keyring\.gpg") as caught:
        system_keyrings("ubuntu")
    assert "apt-get install ubuntu-keyring" in caught.value.hint
    (tmp_path / "ubuntu-archive-keyring.gpg").touch()
    assert system_keyrings("ubuntu") == (tmp_path / "ubuntu-archive-keyring.gpg",)
    with pytest.raises(KmodciError, match="no keys are known of fedora's archives"):
        system_keyrings("fedora")
