"""Looks at a real repository on loopback, with a real store."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo, kernel_packages, make_deb
from benchmarks.webserver import WebServer, page
from kmodci.errors import IndexDamaged, KmodciError
from kmodci.fetch import Fetcher
from kmodci.settings import load
from kmodci.store import RepositoryState, Store
from kmodci.watch import Watch, bundle_note
from kmodci.where import packages, repositories

pytestmark = pytest.mark.slow

NAME = "bookworm main"
FIRST, SECOND = "6.1.0-98-amd64", "6.1.0-99-amd64"


@pytest.fixture
def repo(tmp_path: Path) -> Iterator[AptRepo]:
    with AptRepo(tmp_path / "repo") as repo:
        add(repo, FIRST)
        yield repo


@pytest.fixture
def watch(tmp_path: Path, repo: AptRepo) -> Watch:
    config = tmp_path / "config"
    config.mkdir()
    (config / "kmodci.yml").write_text("{}\n")
    (config / "known-failures.yml").write_text("known_failures: []\n")
    (config / "modules.yml").write_text("modules: {loop: {source: {debian: loop-dkms, suite: bookworm}}}\n")
    (config / "targets.yml").write_text(
        f"mirrors: {{debian: {repo.url}}}\n"
        "toolchains: {gcc-12: {distro: debian, series: bookworm}}\n"
        "targets:\n"
        "  - {distro: debian, series: bookworm, arches: [amd64], repositories: [{suite: bookworm, "
        f"keyring: {repo.keyring}}}]}}\n"
    )
    settings = load(config)
    scope = settings.find_scope()
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    return Watch(
        settings=settings,
        store=store,
        fetcher=Fetcher(retries=0),
        repositories=repositories(settings, scope),
        packages=packages(settings, scope),
    )


def add(repo: AptRepo, release: str) -> None:
    for deb in kernel_packages(repo.root.parent / f"debs-{release}", release):
        repo.add(deb)
    repo.publish()


def test_what_is_new_is_told_until_it_is_remembered(watch: Watch, repo: AptRepo) -> None:
    for _ in range(2):
        found = watch.look(NAME)
        assert [kernel.release for kernel in found.new] == [FIRST]
    watch.remember(found)
    assert not watch.look(NAME).changed
    add(repo, SECOND)
    found = watch.look(NAME)
    assert [kernel.release for kernel in found.new] == [SECOND]
    assert found.updated == ()


def test_a_packaged_module_comes_with_its_repository(watch: Watch, repo: AptRepo, tmp_path: Path) -> None:
    watch.remember(watch.look(NAME))
    assert watch.store.module_version("loop") is None
    repo.add(make_deb(tmp_path, "loop-dkms", version="1.2-3", arch="all"))
    repo.publish()
    found = watch.look(NAME)
    assert [(module.module, module.version) for module in found.modules] == [("loop", "1.2-3")]
    watch.remember(found)
    version = watch.store.module_version("loop")
    assert version is not None
    assert version.version == "1.2-3"


def test_a_source_that_cannot_be_read_loses_nothing(watch: Watch, repo: AptRepo) -> None:
    watch.remember(watch.look(NAME))
    before = watch.store.repository_state(NAME)
    (repo.dist / "InRelease").write_text("<html>down</html>")
    with pytest.raises(KmodciError) as fault:
        watch.look(NAME)
    watch.note_fault(NAME, str(fault.value))
    after = watch.store.repository_state(NAME)
    assert (after.digest, after.last_ok) == (before.digest, before.last_ok)
    assert "bookworm main" in after.error
    assert [kernel.release for kernel in watch.store.kernels().values()] == [FIRST]


def test_an_older_index_is_no_news_and_loses_nothing(watch: Watch, repo: AptRepo) -> None:
    watch.remember(watch.look(NAME))
    before = watch.store.repository_state(NAME)
    for deb in kernel_packages(repo.root.parent / "debs", SECOND):
        repo.add(deb)
    repo.publish(dated=datetime.now(UTC) - timedelta(days=1))
    with pytest.raises(IndexDamaged, match="was there before") as fault:
        watch.look(NAME)
    watch.note_fault(NAME, str(fault.value))
    assert [kernel.release for kernel in watch.store.kernels().values()] == [FIRST]
    assert watch.store.repository_state(NAME).dated == before.dated
    add(repo, SECOND)
    assert [kernel.release for kernel in watch.look(NAME).new] == [SECOND]


def test_a_mirror_that_failed_although_another_answered_is_told(watch: Watch, repo: AptRepo) -> None:
    with WebServer(repo.root) as second:
        two = replace(watch.repositories[NAME], mirrors=(repo.url, second.url))
        watch = replace(watch, repositories={NAME: two})
        repo.server.misbehave("/dists/bookworm/InRelease", *[page("<html>")] * 9)
        watch.remember(watch.look(NAME))
        for _ in range(2):  # also when nothing is new
            state = watch.store.repository_state(NAME)
            (told,) = state.mirror_faults
            assert repo.url in told and "not signed" in told
            assert (state.error, state.problems) == ("", ())
            assert not watch.look(NAME).changed
        watch.note_fault(NAME, "no mirror answers")
        assert watch.store.repository_state(NAME).mirror_faults == ()


def test_an_empty_answer_takes_no_kernel_away(watch: Watch, repo: AptRepo) -> None:
    watch.remember(watch.look(NAME))
    before = watch.store.repository_state(NAME)
    for deb in (repo.root / "pool").iterdir():
        deb.unlink()
    repo.publish()
    with pytest.raises(IndexDamaged, match="bookworm main: it lists no kernel, and had 1"):
        watch.look(NAME)
    assert [kernel.release for kernel in watch.store.kernels().values()] == [FIRST]
    assert watch.store.repository_state(NAME).digest == before.digest
    add(repo, SECOND)
    assert [kernel.release for kernel in watch.look(NAME).new] == [SECOND]


def test_a_repository_that_never_had_a_kernel_may_be_empty(watch: Watch, repo: AptRepo) -> None:
    for deb in (repo.root / "pool").iterdir():
        deb.unlink()
    repo.publish()
    assert watch.look(NAME).new == ()


def test_a_kernel_that_the_mirror_dropped_stays_if_its_headers_are_kept(tmp_path: Path, watch: Watch) -> None:
    found = watch.look(NAME)
    watch.remember(found)
    with AptRepo(tmp_path / "later") as later:
        add(later, SECOND)
        # the same address, another content
        for path in (later.root / "dists").rglob("*"):
            if path.is_file():
                target = tmp_path / "repo" / "mirror" / path.relative_to(later.root)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(path.read_bytes())
    watch.store.put_meta(bundle_note(found.new[0].headers_digest), "0" * 64)
    watch.remember(watch.look(NAME))
    assert {kernel.release for kernel in watch.store.kernels().values()} == {FIRST, SECOND}
    watch.store.put_meta(bundle_note(found.new[0].headers_digest), "")
    watch.store.put_repository(RepositoryState(name=NAME))
    watch.remember(watch.look(NAME))
    assert {kernel.release for kernel in watch.store.kernels().values()} == {SECOND}
