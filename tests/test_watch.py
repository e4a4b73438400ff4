"""Looks at real repositories on loopback, with a real store: what they say is believed, or what was known stays."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.aptrepo import AptRepo, Key, kernel_packages, make_deb
from benchmarks.webserver import WebServer, cut, page, status
from kmodci.acceptance import Acceptances
from kmodci.doubt import LOOKS, Doubted
from kmodci.errors import KmodciError, StoreError
from kmodci.fallover import FallOver
from kmodci.fetch import Fetcher
from kmodci.history import History
from kmodci.listing import mirrors_read
from kmodci.settings import load
from kmodci.sourceview import Health, SourceView
from kmodci.store import Store
from kmodci.survey import survey
from kmodci.watch import Watch
from kmodci.where import packages, repositories

pytestmark = pytest.mark.slow

NAME, OTHER = "bookworm main", "trixie main"
FIRST, SECOND, NEWER = "6.1.0-98-amd64", "6.1.0-99-amd64", "6.12.99+deb13-amd64"
MINUTE = 60.0


class Clock:
    """Stands, until somebody moves it."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files of two repositories with a kernel each, by suite: copied for each test, because making them costs."""
    roots = {}
    for suite, release in {"bookworm": FIRST, "trixie": NEWER}.items():
        folder = tmp_path_factory.mktemp(suite)
        repo = AptRepo(folder, suite=suite)
        for deb in kernel_packages(folder, release):
            repo.add(deb)
        repo.publish()
        roots[suite] = repo.root
    return roots


@pytest.fixture
def repos(tmp_path: Path, published: dict[str, Path]) -> Iterator[dict[str, AptRepo]]:
    for suite, root in published.items():
        shutil.copytree(root, tmp_path / suite / "mirror")
    with AptRepo(tmp_path / "bookworm") as one, AptRepo(tmp_path / "trixie", suite="trixie") as other:
        yield {NAME: one, OTHER: other}


@pytest.fixture
def repo(repos: dict[str, AptRepo]) -> AptRepo:
    return repos[NAME]


@pytest.fixture
def config(tmp_path: Path, repos: dict[str, AptRepo]) -> Path:
    config = tmp_path / "config"
    config.mkdir()
    (config / "kmodci.yml").write_text("poll: {interval: 2m}\n")
    (config / "known-failures.yml").write_text("known_failures: []\n")
    (config / "modules.yml").write_text("modules: {loop: {source: {debian: loop-dkms, suite: bookworm}}}\n")
    follow(config, repos)
    return config


def follow(config: Path, repos: dict[str, AptRepo], *, arches: str = "amd64") -> None:
    """Writes targets.yml."""
    lines = [f"mirrors: {{{', '.join(f'at-{repo.suite}: {repo.url}' for repo in repos.values())}}}"]
    first = next(iter(repos.values())).suite
    lines += [f"toolchains: {{gcc-12: {{distro: debian, series: {first}}}}}", "targets:"]
    for repo in repos.values():
        at = f"{{suite: {repo.suite}, mirror: at-{repo.suite}, keyring: {repo.keyring}}}"
        lines.append(f"  - {{distro: debian, series: {repo.suite}, arches: [{arches}], repositories: [{at}]}}")
    (config / "targets.yml").write_text("\n".join(lines) + "\n")


Opened = Callable[[], Watch]


@pytest.fixture
def opened(tmp_path: Path, config: Path) -> Opened:
    """A watch by the configuration as it is now, on the same store."""
    clock, store = Clock(), Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()

    def watch() -> Watch:
        settings = load(config)
        return Watch(
            settings=settings,
            store=store,
            fetcher=Fetcher(timeout=5, retries=0),
            repositories=repositories(settings, settings.find_scope()),
            packages=packages(settings, settings.find_scope()),
            acceptances=Acceptances(tmp_path / "accepted"),
            clock=clock,
        )

    return watch


@pytest.fixture
def watch(opened: Opened) -> Watch:
    return opened()


def pass_by(watch: Watch, seconds: float) -> None:
    assert isinstance(watch.clock, Clock)
    watch.clock.now += seconds


def poll(watch: Watch, *names: str) -> KmodciError | None:
    """What a poller does, some minutes after the last time. Returns the last fault."""
    pass_by(watch, 5 * MINUTE)
    fault = None
    for name in names or watch.repositories:
        try:
            found = watch.look(name)
            if found.changed:
                watch.remember(found)
        except KmodciError as error:
            watch.note_fault(name, error)
            fault = error
    return fault


def seen(watch: Watch, name: str) -> SourceView:
    every = survey(watch.settings, watch.settings.find_scope(), watch.store, watch.acceptances)
    return next(each for each in every if each.name == name)


def add(repo: AptRepo, release: str) -> None:
    for deb in kernel_packages(repo.root.parent / f"debs-{release}", release):
        repo.add(deb)
    repo.publish()


def empty(repo: AptRepo) -> None:
    for deb in (repo.root / "pool").iterdir():
        deb.unlink()
    repo.publish()


def drop(repo: AptRepo, release: str) -> None:
    for deb in (repo.root / "pool").glob(f"linux-headers-{release}_*"):
        deb.unlink()
    repo.publish()


def releases(watch: Watch, name: str, *, gone: bool = False) -> set[str]:
    """What a repository lists, or what is gone from it."""
    return {kernel.release for kernel in watch.store.listed().get(name, ()) if bool(kernel.gone) == gone}


def test_what_is_new_is_told_until_it_is_remembered(watch: Watch, repo: AptRepo) -> None:
    for _ in range(2):
        found = watch.look(NAME)
        assert [kernel.release for kernel in found.new] == [FIRST]
    watch.remember(found)
    assert not watch.look(NAME).changed
    add(repo, SECOND)
    found = watch.look(NAME)
    assert [kernel.release for kernel in found.new] == [SECOND]
    assert found.updated == found.gone == found.back == ()


def test_the_mirror_that_a_list_led_to_is_remembered(watch: Watch) -> None:
    found = watch.look(NAME)
    watch.remember(found)
    assert mirrors_read(watch.store) == {}
    watch.remember(replace(found, look=replace(found.look, base="http://one.example.org/9")))
    assert mirrors_read(watch.store) == {NAME: "http://one.example.org/9"}


def test_a_packaged_module_comes_with_its_repository(watch: Watch, repo: AptRepo, tmp_path: Path) -> None:
    poll(watch)
    assert watch.store.module_version("loop") is None
    repo.add(make_deb(tmp_path, "loop-dkms", version="1.2-3", arch="all"))
    repo.publish()
    found = watch.look(NAME)
    assert [(module.module, module.version) for module in found.modules] == [("loop", "1.2-3")]
    watch.remember(found)
    version = watch.store.module_version("loop")
    assert version is not None
    assert version.version == "1.2-3"
    assert seen(watch, NAME).modules == ("loop 1.2-3",)


def unreachable(repo: AptRepo) -> None:
    repo.server.misbehave("/dists/bookworm/InRelease", *[status(503)] * 9)


def cut_short(repo: AptRepo) -> None:
    signed = (repo.dist / "InRelease").read_bytes()
    repo.server.misbehave("/dists/bookworm/InRelease", cut(signed[:-50], announced=len(signed)))


def gone(repo: AptRepo) -> None:
    shutil.rmtree(repo.root / "dists")


def web_page(repo: AptRepo) -> None:
    (repo.dist / "InRelease").write_text("<html><body>It works!</body></html>")


def unsigned(repo: AptRepo) -> None:
    text = (repo.dist / "InRelease").read_text()
    (repo.dist / "InRelease").write_text(text.partition("\n\n")[2].partition("-----BEGIN")[0])


def signed_by_another(repo: AptRepo) -> None:
    repo.publish(key=Key())


def truncated(repo: AptRepo) -> None:
    add(repo, SECOND)
    for path in repo.dist.rglob("*"):
        if path.is_file() and path.name != "InRelease":
            path.write_bytes(path.read_bytes()[:-7])


def other_content(repo: AptRepo) -> None:
    repo.publish(suffixes=[""])
    for path in repo.dist.rglob("*"):
        if path.is_file() and path.name != "InRelease":
            path.write_bytes(path.read_bytes().replace(b"gcc-12", b"gcc-13"))


def expired(repo: AptRepo) -> None:
    repo.publish(valid_for=timedelta(seconds=-1))


def another_suite(repo: AptRepo) -> None:
    repo.suite = repo.codename = "trixie"
    repo.publish()
    shutil.copytree(repo.dist, repo.root / "dists" / "bookworm", dirs_exist_ok=True)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (unreachable, "503"),
        (cut_short, "connection broken"),
        (gone, "404"),
        (web_page, "not signed"),
        (unsigned, "not signed"),
        (signed_by_another, "in none of the keyrings"),
        (truncated, "bytes"),
        (other_content, "SHA256"),
        (expired, "expired on"),
        (another_suite, "the suite 'trixie', not 'bookworm'"),
        (empty, "it lists no kernel, and had 1"),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_one_odd_repository_takes_nothing_away_and_no_other_down(
    watch: Watch, repos: dict[str, AptRepo], fault: Callable[[AptRepo], None], told: str
) -> None:
    assert poll(watch) is None
    before, known = watch.store.repository_state(NAME), watch.store.listed()
    fault(repos[NAME])
    add(repos[OTHER], "6.12.100+deb13-amd64")
    assert poll(watch) is not None

    # its last good set, its age, the error
    after = watch.store.repository_state(NAME)
    assert (after.digest, after.last_ok, after.dated) == (before.digest, before.last_ok, before.dated)
    assert watch.store.listed()[NAME] == known[NAME]
    view = seen(watch, NAME)
    assert told in view.fault.lower() or told in view.fault
    assert view.health in (Health.FAILING, Health.DOUBTED)
    assert (view.listed, view.gone, watch.clock() - view.state.last_ok) == (1, 0, 5 * MINUTE)
    assert view.state.last_try == watch.clock()
    # the other went on
    assert releases(watch, OTHER) == {NEWER, "6.12.100+deb13-amd64"}
    assert seen(watch, OTHER).health is Health.GOOD
    assert seen(watch, OTHER).state.last_ok == watch.clock()

    # and it gets over it
    repos[NAME].suite = repos[NAME].codename = "bookworm"
    for deb in kernel_packages(repos[NAME].root.parent / "again", FIRST):
        repos[NAME].add(deb)
    repos[NAME].publish()
    repos[NAME].server.misbehave("/dists/bookworm/InRelease")
    assert poll(watch) is None
    assert seen(watch, NAME).health is Health.GOOD
    assert FIRST in releases(watch, NAME)
    assert watch.store.repository_state(NAME).error == watch.store.repository_state(NAME).hint == ""


def test_the_hint_is_kept_with_the_error(watch: Watch, repo: AptRepo) -> None:
    poll(watch)
    expired(repo)
    fault = poll(watch)
    state = watch.store.repository_state(NAME)
    assert fault and (state.error, state.hint) == (fault.brief, fault.hint)
    assert "check_valid_until" in state.hint


def test_a_repository_that_never_had_a_kernel_may_be_empty(watch: Watch, repo: AptRepo) -> None:
    empty(repo)
    assert watch.look(NAME).new == ()


class TestDoubt:
    """About an empty answer."""

    @pytest.fixture(autouse=True)
    def emptied(self, watch: Watch, repo: AptRepo) -> None:
        poll(watch)
        empty(repo)

    def test_three_looks_in_a_row_are_believed(self, watch: Watch) -> None:
        for number in range(1, LOOKS):
            fault = poll(watch, NAME)
            assert isinstance(fault, Doubted)
            assert f"{number} of 3 looks in a row" in fault.hint
            assert releases(watch, NAME) == {FIRST}
        began = watch.clock()
        assert poll(watch, NAME) is None
        assert (releases(watch, NAME), releases(watch, NAME, gone=True)) == (set(), {FIRST})
        assert (seen(watch, NAME).health, seen(watch, NAME).state.doubt) == (Health.GOOD, None)
        [kernel] = watch.store.listed()[NAME]
        assert kernel.gone == began + 5 * MINUTE
        # once more is no news
        assert not watch.look(NAME).changed

    def test_looks_that_follow_each_other_at_once_are_one(self, watch: Watch) -> None:
        """As those of a master that does not come up for long."""
        for _ in range(LOOKS + 2):
            with pytest.raises(Doubted) as fault:
                watch.look(NAME)
            watch.note_fault(NAME, fault.value)
            pass_by(watch, 10.0)
        assert releases(watch, NAME) == {FIRST}

    def test_a_look_that_fails_in_between_says_nothing_and_begins_the_row_anew(
        self, watch: Watch, repo: AptRepo
    ) -> None:
        for _ in range(3):
            assert isinstance(poll(watch, NAME), Doubted)
            assert isinstance(poll(watch, NAME), Doubted)
            unreachable(repo)
            assert not isinstance(poll(watch, NAME), Doubted)
            repo.server.misbehave("/dists/bookworm/InRelease")
        assert releases(watch, NAME) == {FIRST}

    def test_another_answer_ends_it(self, watch: Watch, repo: AptRepo) -> None:
        poll(watch, NAME)
        poll(watch, NAME)
        add(repo, SECOND)
        assert poll(watch, NAME) is None
        assert (releases(watch, NAME), releases(watch, NAME, gone=True)) == ({SECOND}, {FIRST})
        assert watch.store.repository_state(NAME).doubt is None
        empty(repo)
        fault = poll(watch, NAME)
        assert isinstance(fault, Doubted) and fault.doubt.looks == 1

    def accept(self, watch: Watch) -> None:
        doubt = watch.store.repository_state(NAME).doubt
        assert doubt and watch.acceptances
        watch.acceptances.put(NAME, doubt, by="ada", at=watch.clock())

    def test_what_a_person_accepts_is_believed_at_once(self, watch: Watch) -> None:
        poll(watch, NAME)
        assert not watch.is_accepted(NAME)
        self.accept(watch)
        assert watch.is_accepted(NAME)
        assert (seen(watch, NAME).accepted, seen(watch, NAME).health) == ("ada", Health.DOUBTED)
        found = watch.look(NAME)
        assert found.believed == "it lists no kernel, and had 1: accepted by ada"
        assert [kernel.release for kernel in found.gone] == [FIRST]
        watch.remember(found)
        assert releases(watch, NAME) == set()
        assert not watch.is_accepted(NAME)

    def test_a_fault_in_between_does_not_undo_what_was_accepted(self, watch: Watch, repo: AptRepo) -> None:
        poll(watch, NAME)
        self.accept(watch)
        unreachable(repo)
        assert poll(watch, NAME) is not None
        repo.server.misbehave("/dists/bookworm/InRelease")
        assert poll(watch, NAME) is None
        assert releases(watch, NAME, gone=True) == {FIRST}

    def test_what_was_accepted_once_is_not_accepted_for_ever(self, watch: Watch, repo: AptRepo) -> None:
        poll(watch, NAME)
        self.accept(watch)
        poll(watch, NAME)
        add(repo, FIRST)
        poll(watch, NAME)
        empty(repo)
        assert isinstance(poll(watch, NAME), Doubted)
        assert not watch.is_accepted(NAME)

    def test_a_note_that_cannot_be_read_is_told(self, watch: Watch) -> None:
        poll(watch, NAME)
        self.accept(watch)
        assert watch.acceptances
        [note] = watch.acceptances.folder.iterdir()
        note.write_text("{")
        fault = poll(watch, NAME)
        assert isinstance(fault, StoreError) and "delete it" in fault.hint
        assert releases(watch, NAME) == {FIRST}


class TestBackwards:
    """About a repository that is older than it was."""

    @pytest.fixture(autouse=True)
    def older(self, watch: Watch, repo: AptRepo) -> None:
        poll(watch)
        add(repo, SECOND)
        repo.publish(dated=datetime.now(UTC) - timedelta(days=1))

    def test_it_is_no_news_and_loses_nothing(self, watch: Watch, repo: AptRepo) -> None:
        before = watch.store.repository_state(NAME)
        fault = poll(watch, NAME)
        assert isinstance(fault, Doubted)
        assert "was there before; what was known of it stays" in fault.brief
        assert releases(watch, NAME) == {FIRST}
        assert watch.store.repository_state(NAME).dated == before.dated
        add(repo, "6.1.0-100-amd64")
        assert poll(watch, NAME) is None
        assert releases(watch, NAME) == {FIRST, SECOND, "6.1.0-100-amd64"}

    def test_a_vendor_may_roll_back(self, watch: Watch, repo: AptRepo) -> None:
        for number in range(1, LOOKS):
            fault = poll(watch, NAME)
            assert isinstance(fault, Doubted) and fault.doubt.looks == number
        assert poll(watch, NAME) is None
        assert releases(watch, NAME) == {FIRST, SECOND}
        dated = watch.store.repository_state(NAME).dated
        assert abs(dated - (datetime.now(UTC) - timedelta(days=1)).timestamp()) < 300
        # from then on it is measured by what it says now
        assert not watch.look(NAME).changed

    def test_one_that_changes_meanwhile_is_another_answer(self, watch: Watch, repo: AptRepo) -> None:
        for number in range(LOOKS + 1):
            for deb in kernel_packages(repo.root.parent / f"more-{number}", f"6.1.0-1{number}-amd64"):
                repo.add(deb)
            repo.publish(dated=datetime.now(UTC) - timedelta(days=1))
            fault = poll(watch, NAME)
            assert isinstance(fault, Doubted) and fault.doubt.looks == 1

    def test_one_that_is_empty_as_well_is_one_doubt(self, watch: Watch, repo: AptRepo) -> None:
        for deb in (repo.root / "pool").iterdir():
            deb.unlink()
        repo.publish(dated=datetime.now(UTC) - timedelta(days=1))
        for number in range(1, LOOKS):
            fault = poll(watch, NAME)
            assert isinstance(fault, Doubted) and fault.doubt.looks == number
            assert "was there before; it lists no kernel, and had 1" in fault.doubt.what
        assert poll(watch, NAME) is None
        assert releases(watch, NAME, gone=True) == {FIRST}

    def test_while_another_mirror_cannot_be_read_it_is_no_answer(self, watch: Watch, repo: AptRepo) -> None:
        """What that one has may be newer."""
        with WebServer(repo.root) as second:
            second.misbehave("/dists/bookworm/InRelease", *[status(503)] * 99)
            both = replace(watch.repositories[NAME], mirrors=(repo.url, second.url))
            two = replace(watch, repositories={NAME: both}, fallover=FallOver())
            for _ in range(LOOKS + 1):
                fault = poll(two, NAME)
                assert fault and not isinstance(fault, Doubted)
                assert "was there before" in fault.brief and "503" in fault.brief
        assert releases(watch, NAME) == {FIRST}


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
        watch.note_fault(NAME, KmodciError("no mirror answers"))
        assert watch.store.repository_state(NAME).mirror_faults == ()


def test_an_architecture_that_is_empty_is_in_doubt_as_well(
    config: Path, repos: dict[str, AptRepo], opened: Opened
) -> None:
    follow(config, repos, arches="amd64, arm64")
    watch = opened()
    add(repos[NAME], "6.1.0-98-arm64")
    poll(watch)
    drop(repos[NAME], "6.1.0-98-arm64")
    fault = poll(watch, NAME)
    assert isinstance(fault, Doubted)
    assert fault.doubt.what == "it lists no kernel of debian-bookworm-arm64, and had 1"
    # and what is not asked for any more is no wonder
    follow(config, repos)
    watch = opened()
    assert poll(watch, NAME) is None
    assert releases(watch, NAME) == {FIRST, "6.1.0-98-arm64"}, "nobody has looked for it"
    assert [kernel.release for kernel in watch.drop_unfollowed()] == ["6.1.0-98-arm64"]


def test_a_kernel_that_is_dropped_stays_as_gone_and_may_come_back(watch: Watch, repo: AptRepo) -> None:
    add(repo, SECOND)
    poll(watch)
    whole = watch.store.kernels()
    drop(repo, FIRST)
    found = watch.look(NAME)
    assert ([kernel.release for kernel in found.gone], found.new, found.back) == ([FIRST], (), ())
    watch.remember(found)
    kernel = watch.store.kernels()[f"debian-bookworm-amd64/{FIRST}"]
    assert kernel == replace(whole[str(kernel)], gone=watch.clock())
    assert kernel.absence == "gone from bookworm main since 1970-01-12"
    # the time at which it was first missed, whatever is looked at since
    since = kernel.gone
    pass_by(watch, 5 * MINUTE)
    add(repo, "6.1.0-100-amd64")
    poll(watch)
    assert watch.store.kernels()[str(kernel)].gone == since
    add(repo, FIRST)
    found = watch.look(NAME)
    assert ([kernel.release for kernel in found.back], found.new, found.updated) == ([FIRST], (), ())
    watch.remember(found)
    assert watch.store.kernels()[str(kernel)] == whole[str(kernel)]


def test_when_a_kernel_appeared_is_known_of_those_that_came_while_somebody_watched(
    watch: Watch, opened: Opened, config: Path, repos: dict[str, AptRepo]
) -> None:
    """What the first look finds may always have been there; so may what was not asked for before."""
    repo, history = repos[NAME], History(watch.store)
    published = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=10)
    assert isinstance(watch.clock, Clock)
    watch.clock.now = published.timestamp() + 10 * MINUTE
    poll(watch)
    assert history.appearances() == {}
    for deb in kernel_packages(repo.root.parent / "debs", SECOND):
        repo.add(deb)
    repo.publish(dated=published)
    poll(watch)
    [((kernel, _), appeared)] = history.appearances().items()
    assert (kernel, appeared) == (f"debian-bookworm-amd64/{SECOND}", published.timestamp())
    follow(config, repos, arches="amd64, arm64")
    assert poll(opened()) is None
    assert len(history.appearances()) == 1


def test_what_targets_yml_does_not_follow_any_more_is_gone_until_it_does_again(
    config: Path, repos: dict[str, AptRepo], opened: Opened
) -> None:
    poll(opened())
    assert opened().drop_unfollowed() == ()
    follow(config, {OTHER: repos[OTHER]})
    (config / "modules.yml").write_text("modules: {loop: {source: {debian: loop-dkms, suite: trixie}}}\n")
    watch = opened()
    assert [kernel.release for kernel in watch.drop_unfollowed()] == [FIRST]
    assert watch.drop_unfollowed() == ()
    assert seen(watch, NAME).idle == "targets.yml does not follow it any more"
    assert (seen(watch, NAME).health, seen(watch, NAME).gone) == (Health.IDLE, 1)
    assert releases(watch, OTHER) == {NEWER}
    follow(config, repos)
    watch = opened()
    # its index has not changed, and is read again
    assert poll(watch, NAME) is None
    assert releases(watch, NAME) == {FIRST}
