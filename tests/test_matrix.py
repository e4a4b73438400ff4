from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from kmodci.images import Recipe, recipe
from kmodci.matrix import Entry, Planned, Why, former_keys, keys, newest_first, plan, select
from kmodci.model import BuildId, Evidence, Hold, Kernel, ModuleVersion, Outcome, Status
from kmodci.modulefile import KernelChoice, Module, PathSource
from kmodci.schema import KnownFailure, Scope
from kmodci.settings import load
from support.kernels import headers, kernels

TODAY = date(2026, 11, 23)
TOOLCHAINS = ("gcc-10", "gcc-12", "gcc-14", "gcc-16")
MODULE = Module(source=PathSource(path=Path("/src")), version="1.0")
MODULES = {"loop": MODULE, "scap": MODULE}
EVERYTHING = Scope()
VERSIONS = {name: ModuleVersion(module=name, version="1.0", origin="a folder", digest="d1") for name in MODULES}
RECIPES = {toolchain: recipe(toolchain, distro="debian", series="sid") for toolchain in TOOLCHAINS}
NOTHING: Mapping[str, Outcome] = {}
SHIPPED = load(Path(__file__).parent.parent / "config")

Chosen = Callable[..., tuple[Entry, ...]]


@pytest.fixture(scope="module")
def debian() -> list[Kernel]:
    return kernels()


@pytest.fixture
def chosen(debian: list[Kernel]) -> Chosen:
    def choose(scope: Scope = EVERYTHING, **modules: Module) -> tuple[Entry, ...]:
        return select(debian, modules or {"loop": MODULE}, scope, toolchains=TOOLCHAINS, today=TODAY)

    return choose


def test_the_shipped_configuration_takes_every_kernel_of_debian(debian: list[Kernel]) -> None:
    entries = select(debian, SHIPPED.modules, SHIPPED.find_scope("all"), toolchains=SHIPPED.toolchains, today=TODAY)
    assert Counter((e.build_id.module, e.kernel.target.arch, bool(e.skipped)) for e in entries) == {
        ("v4l2loopback", "amd64", False): 114,
        ("v4l2loopback", "arm64", False): 135,
        ("scap", "amd64", False): 114,
        ("scap", "arm64", False): 135,
    }
    assert len({str(entry.build_id) for entry in entries}) == len(entries)


def test_a_first_look_is_the_newest_kernels_of_stable(debian: list[Kernel]) -> None:
    entries = select(
        debian, SHIPPED.modules, SHIPPED.find_scope("first-look"), toolchains=SHIPPED.toolchains, today=TODAY
    )
    assert [str(e.build_id) for e in entries if e.kernel.flavour == "amd64"] == [
        f"v4l2loopback/debian-trixie-amd64/{release}-amd64"
        for release in (
            "7.3.4+deb13",
            "7.2.12+deb13",
            "7.2.11+deb13",
            "7.2.9+deb13",
            "7.2.6+deb13",
            "6.12.117+deb13",
            "6.12.116+deb13",
        )
    ]
    assert Counter(entry.kernel.flavour for entry in entries) == {"amd64": 7, "cloud-amd64": 7, "rt-amd64": 7}


def test_the_newest_kernels_come_first(debian: list[Kernel]) -> None:
    """As Debian's own version numbers say, within each flavour of a target."""
    ordered = newest_first(debian)
    assert ordered == newest_first(reversed(debian))
    bookworm = [k.release for k in ordered if str(k.target) == "debian-bookworm-amd64" and k.flavour == "amd64"]
    assert bookworm[0].startswith("6.12.")
    abis = [int(release.split("-")[1]) for release in bookworm if release.startswith("6.1.0-")]
    assert abis == sorted(abis, reverse=True) and len(abis) > 5


def test_modules_are_named_by_patterns(chosen: Chosen) -> None:
    entries = chosen(Scope(modules=("sc*",), kernels=("debian-sid-amd64/*",)), **MODULES)
    assert {entry.build_id.module for entry in entries} == {"scap"}
    assert len(entries) == 6


def test_a_module_says_which_kernels_it_is_for(chosen: Chosen) -> None:
    choice = KernelChoice(include=("*-amd64/*",), exclude=("*/5.10.*", "*cloud*"))
    entries = chosen(loop=MODULE.model_copy(update={"kernels": choice}))
    assert entries
    for entry in entries:
        assert entry.kernel.target.arch == "amd64"
        assert entry.kernel.flavour in ("amd64", "rt-amd64")
        assert not entry.kernel.release.startswith("5.10.")


def test_known_failures_are_skipped_until_their_last_day(debian: list[Kernel]) -> None:
    failures = [KnownFailure(builds="loop/debian-bullseye-*/5.10.*", reason="too old", until=TODAY)]

    def skipped(today: date) -> Counter[str]:
        entries = select(debian, MODULES, Scope(), failures, toolchains=TOOLCHAINS, today=today)
        return Counter(e.build_id.module for e in entries if e.skipped == "too old")

    assert skipped(TODAY) == {"loop": sum(k.release.startswith("5.10.") for k in debian)}
    assert skipped(date(2026, 11, 24)) == {}


def test_a_kernel_without_a_toolchain_is_skipped_and_says_so(debian: list[Kernel]) -> None:
    entries = select(debian, {"loop": MODULE}, Scope(), toolchains=TOOLCHAINS[:3], today=TODAY)
    skipped = [entry for entry in entries if entry.skipped]
    assert {entry.skipped for entry in skipped} == {"no toolchain gcc-16 in targets.yml, nor a newer one"}
    assert {entry.kernel.toolchain for entry in skipped} == {"gcc-16"}
    assert keys(skipped, VERSIONS, RECIPES, MODULES) == {}


def test_a_build_that_another_compiler_was_assumed_for_is_known_by_its_former_key(debian: list[Kernel]) -> None:
    def entries(kernels: Sequence[Kernel]) -> tuple[Entry, ...]:
        return select(kernels, {"loop": MODULE}, Scope(), toolchains=TOOLCHAINS, today=TODAY)

    first, second, third, *others = debian
    # 13 is none of TOOLCHAINS: its image would have been 14's
    before = [replace(kernel, toolchain="gcc-13", evidence=Evidence.SERIES) for kernel in (first, second, third)]
    told = {"gcc-10": first, "gcc-13": second, "clang-19": third}
    after = [
        replace(kernel, toolchain=toolchain, evidence=Evidence.CONFIG, assumed="gcc-13")
        for toolchain, kernel in told.items()
    ]
    learned = entries([*after, *others])
    former = former_keys(learned, VERSIONS, RECIPES, MODULES)
    was = keys(entries(before), VERSIONS, RECIPES, MODULES)
    assert former == {name: was[name] for name in (f"loop/{first}", f"loop/{third}")}
    now = keys(learned, VERSIONS, RECIPES, MODULES)
    assert now[f"loop/{first}"] != former[f"loop/{first}"]
    assert now[f"loop/{second}"] == was[f"loop/{second}"]
    assert [entry.skipped for entry in learned if entry.kernel.release == third.release] == [
        "no toolchain clang-19 in targets.yml, nor a newer one"
    ]


class TestGone:
    """Kernels that no repository lists any more."""

    @pytest.fixture
    def some(self, debian: list[Kernel]) -> list[Kernel]:
        found = [k for k in newest_first(debian) if str(k.target) == "debian-trixie-amd64" and k.flavour == "amd64"]
        assert len(found) > 7
        return found

    @staticmethod
    def selected(kernels: Sequence[Kernel], bundled: Collection[str] = (), **scope: int) -> list[Entry]:
        made = Scope.model_validate(scope)
        return [*select(kernels, {"loop": MODULE}, made, toolchains=TOOLCHAINS, today=TODAY, bundled=bundled)]

    def test_they_are_built_while_there_is_a_bundle_of_their_headers(self, some: list[Kernel]) -> None:
        kept, lost = (replace(kernel, gone=1_000_000.0) for kernel in some[:2])
        entries = self.selected([kept, lost, some[2]], {kept.headers_digest})
        assert [entry.lost for entry in entries] == ["", f"gone from {lost.repository} since 1970-01-12", ""]
        assert [p.entry.kernel for p in due(entries)] == [kept, some[2]]
        assert due(entries, now=1e9, ended={}) == due(entries), "nor later"

    def test_a_hold_or_an_outcome_of_before_changes_nothing(self, some: list[Kernel]) -> None:
        [before] = due(self.selected(some[:1]))
        [entry] = self.selected([replace(some[0], gone=5.0)])
        name = str(entry.build_id)
        ended = {name: outcome(before, Status.UNAVAILABLE)}
        hold = Hold(build_id=entry.build_id, key=before.key, reason="no engine", tries=1, noted=1.0)
        assert due([entry], ended=ended, now=1e9) == due([entry], holds={name: hold}) == ()
        # listed again, it is what it was
        [again] = self.selected(some[:1])
        assert [p.key for p in due([again], ended=ended, now=1e9)] == [before.key]

    def test_they_take_no_place_of_those_that_are_listed(self, some: list[Kernel]) -> None:
        gone = [replace(kernel, gone=5.0) for kernel in some[:3]]
        assert [entry.kernel for entry in self.selected([*gone, *some[3:]], newest=3)] == some[3:6]
        # but those that nobody else takes
        assert [entry.kernel for entry in self.selected([*gone, some[3]], newest=3)] == [*gone[:2], some[3]]


def outcome(planned: Planned, status: Status = Status.BUILT) -> Outcome:
    return Outcome(
        build_id=planned.entry.build_id,
        key=planned.key,
        status=status,
        module_version="1.0",
        kernel_version=planned.entry.kernel.version,
        finished=1.0,
        image=RECIPES[planned.entry.kernel.toolchain].digest,
    )


def due(
    entries: Sequence[Entry],
    *,
    versions: Mapping[str, ModuleVersion] = VERSIONS,
    ended: Mapping[str, Outcome] = NOTHING,
    recipes: Mapping[str, Recipe] = RECIPES,
    modules: Mapping[str, Module] = MODULES,
    now: float = 100.0,
    **more: Mapping[str, Hold],
) -> tuple[Planned, ...]:
    """The plan, given what ended."""
    return plan(entries, keys(entries, versions, recipes, modules), versions, ended, recipes, now=now, **more)


@pytest.mark.parametrize("status", [Status.BUILT, Status.FAILED, Status.UNAVAILABLE, Status.SKIPPED])
def test_what_has_ended_is_not_due_again(chosen: Chosen, status: Status) -> None:
    entries = chosen()
    planned = due(entries)
    assert [p.entry for p in planned] == list(entries)
    assert {p.why for p in planned} == {Why.NEW_MODULE}
    ended = {str(p.entry.build_id): outcome(p, status) for p in planned[1:]}
    [left] = due(entries, ended=ended)
    assert left == replace(planned[0], why=Why.NEW_KERNEL)


class TestWhy:
    """One build that ended, and then something else about it."""

    @pytest.fixture
    def entry(self, chosen: Chosen) -> Entry:
        return chosen()[0]

    @pytest.fixture
    def ended(self, entry: Entry) -> dict[str, Outcome]:
        return {str(p.entry.build_id): outcome(p) for p in due([entry])}

    def test_another_version(self, entry: Entry, ended: dict[str, Outcome]) -> None:
        versions = {"loop": replace(VERSIONS["loop"], version="1.1")}
        assert [p.why for p in due([entry], versions=versions, ended=ended)] == [Why.NEW_MODULE_VERSION]

    def test_other_headers(self, entry: Entry, ended: dict[str, Outcome]) -> None:
        kernel = replace(entry.kernel, version="9", headers=(headers(entry.kernel.release, "9"),))
        other = replace(entry, kernel=kernel)
        assert [p.why for p in due([other], ended=ended)] == [Why.NEW_HEADERS]

    def test_another_way_to_build(self, entry: Entry, ended: dict[str, Outcome]) -> None:
        modules = {"loop": MODULE.model_copy(update={"build": "make", "artifacts": ("a.ko",)})}
        assert [p.why for p in due([entry], ended=ended, modules=modules)] == [Why.NEW_RECIPE]

    def test_another_image(self, entry: Entry, ended: dict[str, Outcome]) -> None:
        recipes = {toolchain: replace(made, packages=("gcc",)) for toolchain, made in RECIPES.items()}
        assert [p.why for p in due([entry], ended=ended, recipes=recipes)] == [Why.NEW_TOOLCHAIN]

    def test_what_was_held_is_tried_again(self, entry: Entry) -> None:
        [planned] = due([entry])
        hold = Hold(build_id=entry.build_id, key=planned.key, reason="no engine", tries=1, noted=1.0)
        assert [p.why for p in due([entry], holds={str(entry.build_id): hold})] == [Why.RETRY]
        of_other_inputs = replace(hold, key="k")
        assert [p.why for p in due([entry], holds={str(entry.build_id): of_other_inputs})] == [Why.NEW_MODULE]

    def test_what_a_mirror_did_not_have_is_asked_for_again_after_some_hours(self, entry: Entry) -> None:
        [planned] = due([entry])
        ended = {str(entry.build_id): outcome(planned, Status.UNAVAILABLE)}
        assert due([entry], ended=ended, now=3600.0) == ()
        assert [p.why for p in due([entry], ended=ended, now=24 * 3600.0)] == [Why.RETRY]

    def test_nothing_else(self, entry: Entry, ended: dict[str, Outcome]) -> None:
        assert due([entry], ended=ended) == ()


def test_a_module_whose_version_is_not_known_waits(chosen: Chosen) -> None:
    entries = chosen(**MODULES)
    planned = due(entries, versions={"loop": VERSIONS["loop"]})
    assert {p.entry.build_id.module for p in planned} == {"loop"}


def test_each_build_has_a_key_of_its_own(chosen: Chosen) -> None:
    entries = chosen(**MODULES)
    found = keys(entries, VERSIONS, RECIPES, MODULES)
    assert len(set(found.values())) == len(found) == len(entries)
    assert BuildId.parse(next(iter(found))) == entries[0].build_id
