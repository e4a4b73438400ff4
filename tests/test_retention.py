"""What may go: chosen cases, then every bucket that hypothesis can think of."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.contents import Contents, Needed
from kmodci.keys import headers_key
from kmodci.manifest import IndexEntry, Manifest, PublishedFile, entry_of
from kmodci.objects import Object
from kmodci.retention import CachedFile, Sweep, overflow, sweep
from kmodci.schema import Retention

DAY = 86_400.0
NOW = 1000 * DAY
KEEP = Retention(versions=2, logs=90 * 86_400, runs=90 * 86_400, grace=7 * 86_400)
RELEASES = ("6.1.0-50-amd64", "6.12.117+deb13-amd64")
IMAGES = ("a" * 16, "b" * 16, "c" * 16)
BUNDLES = tuple(digit * 64 for digit in "123")


def manifest(module: str, version: str, release: str, *, finished: float, bundle: str, image: str) -> Manifest:
    prefix = f"modules/{module}/{version}/debian/trixie/amd64/{release}/"
    return Manifest(
        build_id=f"{module}/debian-trixie-amd64/{release}",
        module=module,
        version=version,
        origin="",
        source="",
        distro="debian",
        series="trixie",
        arch="amd64",
        release=release,
        kernel_version="1",
        flavour="amd64",
        packages=(),
        headers=headers_key(bundle),
        toolchain="gcc-14",
        image=image,
        compiler="",
        inputs="",
        files=(
            PublishedFile(
                name="x.ko", key=f"{prefix}x.ko", sha256="", size=9, module="x", vermagic="", depends=(), srcversion=""
            ),
        ),
        log=f"{prefix}build.log.zst",
        build_url="",
        started=0,
        finished=finished,
        make_seconds=0,
    )


class World:
    """A bucket: keys with the times of their last writes, the manifests among them, and what the index names."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.manifests: dict[str, Manifest] = {}
        self.index: dict[str, tuple[str, ...]] = {}
        self.latest: dict[str, IndexEntry] = {}
        self.retired: dict[str, float] = {}

    def publish(
        self,
        module: str,
        version: str,
        release: str = RELEASES[0],
        *,
        at: float,
        bundle: str = BUNDLES[0],
        image: str = IMAGES[0],
        indexed: bool = True,
        by_hand: bool = False,
    ) -> Manifest:
        made = manifest(module, version, release, finished=at, bundle=bundle, image=image)
        made = made.model_copy(update={"by_hand": by_hand})
        key = f"{made.log.rpartition('/')[0]}/manifest.json"
        self.manifests[key] = made
        named = (key, *(file.key for file in made.files))
        for each in (*named, made.log):
            self.times[each] = at
        if indexed:
            for entry in (f"index/{module}/{version}.json", f"index/{module}/{version}/debian/amd64/{release}.json"):
                self.times[entry] = at
                self.index[entry] = tuple({*self.index.get(entry, ()), *named})
            if not by_hand:
                self._point(entry_of(made).latest_key, entry_of(made), at)
        return made

    def _point(self, key: str, entry: IndexEntry, at: float) -> None:
        self.times[key], self.latest[key] = at, entry

    def put(self, *keys: str, at: float) -> None:
        self.times.update(dict.fromkeys(keys, at))

    @property
    def contents(self) -> Contents:
        return Contents(
            objects=tuple(Object(key=key, size=1, modified=at) for key, at in sorted(self.times.items())),
            manifests=dict(self.manifests),
            named=frozenset(
                key
                for names in (*self.index.values(), *(_named(entry) for entry in self.latest.values()))
                for key in names
            ),
            latest=dict(self.latest),
            retired=dict(self.retired),
        )

    def delete(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self.times[key]
            self.manifests.pop(key, None)
            self.index.pop(key, None)
            self.latest.pop(key, None)

    def apply(self, found: Sweep) -> list[str]:
        """Returns the keys that went."""
        gone = going(found)
        self.delete(gone)
        for removal in found.retiring:
            for key, entry in removal.instead.items():
                if entry is not None:
                    self._point(key, entry, self.times[key])
        self.retired = dict(found.retired)
        return gone


def _named(entry: IndexEntry) -> tuple[str, ...]:
    return (entry.manifest, *(file.key for file in entry.files))


def going(found: Sweep) -> list[str]:
    return [each.key for removal in (*found.retiring, *found.removals) for each in removal.objects]


def whats(found: Sweep) -> list[str]:
    return [removal.what for removal in (*found.retiring, *found.removals)]


def test_old_versions_leave_the_index_and_a_grace_later_the_bucket() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0", "4.0")):
        world.publish("loop", version, at=NOW - (400 - 100 * number) * DAY)
    needed = Needed(versions={"loop": "4.0"}, bundles=frozenset(BUNDLES))
    first = sweep(world.contents, needed, KEEP, now=NOW)
    assert whats(first) == ["index of loop 2.0", "index of loop 1.0", *LOGS]
    assert first.retired == {"loop/1.0": NOW, "loop/2.0": NOW}
    assert first.retiring[0].objects[0].key == "index/loop/2.0.json"
    world.apply(first)
    early = sweep(world.contents, needed, KEEP, now=NOW + 6 * DAY)
    assert (going(early), early.retired) == ([], first.retired)
    late = sweep(world.contents, needed, KEEP, now=NOW + 7 * DAY)
    assert whats(late) == ["modules of loop 2.0", "modules of loop 1.0"]
    assert [each.key.rpartition("/")[2] for each in late.removals[0].objects] == ["manifest.json", "x.ko"]
    assert late.retired == {}


def test_who_asks_for_no_version_gets_the_newest_that_is_left() -> None:
    world = World()
    for number, version in enumerate(("2.0", "3.0", "4.0")):
        world.publish("loop", version, at=NOW - (300 - 100 * number) * DAY)
    # the source went back to the oldest for a while, and one kernel was built for by it alone
    world.publish("loop", "1.0", at=NOW - 400 * DAY)
    world.publish("loop", "1.0", RELEASES[1], at=NOW - 40 * DAY)
    world.publish("loop", "4.0", RELEASES[1], at=NOW - 50 * DAY, by_hand=True)
    keys = [f"latest/loop/debian/amd64/{release}.json" for release in RELEASES]
    world.latest[keys[0]] = entry_of(manifest("loop", "1.0", RELEASES[0], finished=0, bundle=BUNDLES[0], image="a"))
    needed = Needed(versions={"loop": "4.0"}, bundles=frozenset(BUNDLES))
    found = sweep(world.contents, needed, KEEP, now=NOW)
    [_, oldest] = found.retiring
    assert (oldest.what, oldest.objects[0].key) == ("index of loop 1.0", keys[1]), "none is left but one by hand"
    assert {key: entry and entry.version for key, entry in oldest.instead.items()} == {keys[0]: "4.0", keys[1]: None}
    world.apply(found)
    assert {entry.version for entry in world.latest.values()} == {"4.0"}


def test_what_still_names_a_version_that_left_is_put_right() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0")):
        world.publish("loop", version, at=NOW - (300 - 100 * number) * DAY, indexed=version != "1.0")
    world.publish("loop", "1.0", RELEASES[1], at=NOW - 300 * DAY, indexed=False)
    key = f"latest/loop/debian/amd64/{RELEASES[1]}.json"
    old = manifest("loop", "1.0", RELEASES[1], finished=0, bundle=BUNDLES[0], image="a")
    world.times[key], world.latest[key] = NOW - 300 * DAY, entry_of(old)
    found = sweep(world.contents, Needed(bundles=frozenset(BUNDLES)), KEEP, now=NOW)
    assert [(each.what, each.instead) for each in found.retiring] == [("index of loop 1.0", {key: None})]


LOGS = [f"build logs of loop {version}" for version in ("1.0", "2.0", "3.0", "4.0")]


def test_the_version_that_the_source_is_at_stays_however_old() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0", "4.0")):
        world.publish("loop", version, at=NOW - (40 - 10 * number) * DAY)
    found = sweep(world.contents, Needed(versions={"loop": "1.0"}, bundles=frozenset(BUNDLES)), KEEP, now=NOW)
    assert whats(found) == ["index of loop 2.0"]


def test_new_is_what_was_first_built_late_whatever_its_name() -> None:
    world = World()
    for number, version in enumerate(("git-f", "git-0", "git-c")):
        world.publish("loop", version, at=NOW - (40 - 10 * number) * DAY)
    world.publish("loop", "git-f", RELEASES[1], at=NOW - 8 * DAY)
    found = sweep(world.contents, Needed(), KEEP, now=NOW)
    assert whats(found) == ["index of loop git-f"]


def test_an_index_that_was_there_again_begins_its_grace_anew() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0")):
        world.publish("loop", version, at=NOW - (40 - 10 * number) * DAY)
    world.retired = {"loop/1.0": NOW - 30 * DAY}
    found = sweep(world.contents, Needed(), KEEP, now=NOW)
    assert whats(found) == ["index of loop 1.0"]
    assert found.retired == {"loop/1.0": NOW}


def test_a_removal_that_was_broken_off_goes_on() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0")):
        world.publish("loop", version, at=NOW - (40 - 10 * number) * DAY)
    world.retired = {}
    world.apply(sweep(world.contents, Needed(bundles=frozenset(BUNDLES)), KEEP, now=NOW))
    half = sweep(world.contents, Needed(bundles=frozenset(BUNDLES)), KEEP, now=NOW + 8 * DAY)
    (modules,) = half.removals
    # the manifest went, and the master was killed before the rest
    world.delete([modules.objects[0].key])
    world.retired = dict(half.retired)
    rest = sweep(world.contents, Needed(bundles=frozenset(BUNDLES)), KEEP, now=NOW + 8 * DAY)
    assert whats(rest) == ["leftovers of loop 1.0"]
    world.apply(rest)
    assert not [key for key in world.times if key.startswith("modules/loop/1.0/")]


def test_what_nobody_names_goes_once_it_is_older_than_the_grace() -> None:
    world = World()
    made = world.publish("loop", "1.0", at=NOW - 30 * DAY)
    folder = made.log.rpartition("/")[0]
    world.put(f"{folder}/y.ko", "modules/loop/0.9/debian/trixie/amd64/6.1.0-1-amd64/x.ko", at=NOW - 8 * DAY)
    world.put(f"{folder}/z.ko", headers_key(BUNDLES[1]), at=NOW - 6 * DAY)
    world.put(headers_key(BUNDLES[0]), headers_key(BUNDLES[2]), "headers/notes.txt", at=NOW - 8 * DAY)
    world.put(*(f"images/toolchain-gcc-14-{image}.tar.zst" for image in IMAGES), "images/mine.tar", at=NOW - 8 * DAY)
    needed = Needed(images=frozenset({f"images/toolchain-gcc-14-{IMAGES[1]}.tar.zst"}))
    assert going(sweep(world.contents, needed, KEEP, now=NOW)) == [
        "modules/loop/0.9/debian/trixie/amd64/6.1.0-1-amd64/x.ko",
        f"{folder}/y.ko",
        headers_key(BUNDLES[2]),
        f"images/toolchain-gcc-14-{IMAGES[2]}.tar.zst",
    ]


def test_what_only_the_index_names_stays() -> None:
    world = World()
    made = world.publish("loop", "1.0", at=NOW - 30 * DAY)
    world.delete(list(world.manifests))
    needed = Needed(bundles=frozenset(BUNDLES))
    assert going(sweep(world.contents, needed, KEEP, now=NOW)) == [made.log]


def test_what_an_index_named_that_has_just_gone_goes_with_its_version() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0")):
        world.publish("loop", version, at=NOW - (40 - 10 * number) * DAY)
    nameless = world.publish("loop", "1.0", RELEASES[1], at=NOW - 39 * DAY)
    folder = nameless.log.rpartition("/")[0]
    world.delete([f"{folder}/manifest.json"])
    needed = Needed(bundles=frozenset(BUNDLES))
    world.apply(sweep(world.contents, needed, KEEP, now=NOW))
    assert going(sweep(world.contents, needed, KEEP, now=NOW + 6 * DAY)) == []
    assert f"{folder}/x.ko" in going(sweep(world.contents, needed, KEEP, now=NOW + 7 * DAY))


def test_what_a_new_build_has_replaced_waits_for_the_grace() -> None:
    world = World()
    world.publish("loop", "1.0", at=NOW - 30 * DAY)
    again = world.publish("loop", "1.0", at=NOW - 6 * DAY)
    folder = again.log.rpartition("/")[0]
    # as `publishing` keeps a build with other bytes beside the one that the index still names
    world.put(f"{folder}/0123456789abcdef/x.ko", at=NOW - 30 * DAY)
    needed = Needed(bundles=frozenset(BUNDLES))
    assert going(sweep(world.contents, needed, KEEP, now=NOW)) == []
    assert going(sweep(world.contents, needed, KEEP, now=NOW + DAY)) == [f"{folder}/0123456789abcdef/x.ko"]


def test_logs_and_runs_go_by_age_and_the_last_run_stays() -> None:
    world = World()
    old = world.publish("loop", "1.0", at=NOW - 91 * DAY)
    world.publish("loop", "1.0", RELEASES[1], at=NOW - 89 * DAY)
    world.put("state/runs/a/matrix.json", at=NOW - 300 * DAY)
    world.put("state/runs/a/summary.json", at=NOW - 299 * DAY)
    world.put("state/runs/b/matrix.json", at=NOW - 200 * DAY)
    world.put("state/kernels.json", at=NOW - 200 * DAY)
    found = sweep(world.contents, Needed(bundles=frozenset(BUNDLES)), KEEP, now=NOW)
    assert going(found) == [old.log, "state/runs/a/matrix.json", "state/runs/a/summary.json"]
    needed = Needed(bundles=frozenset(BUNDLES), runs=frozenset({"a"}))
    assert going(sweep(world.contents, needed, KEEP, now=NOW)) == [old.log]
    world.put("state/runs/a/summary.json", at=NOW - 89 * DAY)
    assert "state/runs/b/matrix.json" in going(sweep(world.contents, Needed(), KEEP, now=NOW))


def test_a_version_of_which_something_is_new_waits() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0")):
        world.publish("loop", version, at=NOW - (40 - 10 * number) * DAY, indexed=version != "1.0")
    world.retired = {"loop/1.0": NOW - 30 * DAY}
    needed = Needed(bundles=frozenset(BUNDLES))
    assert whats(sweep(world.contents, needed, KEEP, now=NOW)) == ["modules of loop 1.0"]
    # somebody builds the old version again, and is about to index it
    world.publish("loop", "1.0", RELEASES[1], at=NOW - 10, indexed=False)
    assert whats(sweep(world.contents, needed, KEEP, now=NOW)) == []


ages = st.sampled_from([0.0, 6.9, 7.0, 30.0, 91.0, 400.0]).map(lambda days: NOW - days * DAY)
versions = st.sampled_from(["1.0", "2.0", "3.0", "git-4", "git-5"])
modules = st.sampled_from(["loop", "scap"])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    world = World()
    for _ in range(draw(st.integers(0, 9))):
        world.publish(
            draw(modules),
            draw(versions),
            draw(st.sampled_from(RELEASES)),
            at=draw(ages),
            bundle=draw(st.sampled_from(BUNDLES)),
            image=draw(st.sampled_from(IMAGES)),
            indexed=draw(st.booleans()),
        )
    for key in draw(st.lists(st.sampled_from(sorted(world.times) or ["index/loop/1.0.json"]), unique=True, max_size=4)):
        if key in world.times:
            world.delete([key])  # an earlier removal was broken off, or somebody else was at work
    for image, bundle in zip(IMAGES, BUNDLES, strict=True):
        world.put(f"images/toolchain-gcc-14-{image}.tar.zst", headers_key(bundle), at=draw(ages))
    for name in ("a", "b"):
        world.put(f"state/runs/{name}/matrix.json", f"modules/loop/1.0/debian/trixie/amd64/{name}/x.ko", at=draw(ages))
    world.retired = draw(st.dictionaries(st.sampled_from(["loop/1.0", "loop/2.0", "scap/git-4"]), ages))
    return world


@given(worlds(), st.dictionaries(modules, versions), st.frozensets(st.sampled_from(BUNDLES)), st.integers(1, 3))
def test_nothing_that_is_named_ever_goes(
    world: World, current: dict[str, str], bundles: frozenset[str], count: int
) -> None:
    needed = Needed(versions=current, bundles=bundles)
    keep = KEEP.model_copy(update={"versions": count})
    before = dict(world.times)
    gone = set(world.apply(sweep(world.contents, needed, keep, now=NOW)))
    assert all(before[key] <= NOW - keep.grace for key in gone)
    assert gone.isdisjoint(key for names in world.index.values() for key in names)
    for made in world.manifests.values():
        assert gone.isdisjoint({made.headers, f"images/toolchain-gcc-14-{made.image}.tar.zst"})
        assert gone.isdisjoint(file.key for file in made.files)
    assert gone.isdisjoint(headers_key(bundle) for bundle in bundles)
    for module, version in current.items():
        assert not [key for key in gone if key.startswith(f"index/{module}/{version}")]
    again = sweep(world.contents, needed, keep, now=NOW)
    assert (going(again), dict(again.retired)) == ([], world.retired)


def test_a_version_that_leaves_the_index_again_has_its_whole_grace_though_that_was_broken_off() -> None:
    world = World()
    for number, version in enumerate(("1.0", "2.0", "3.0")):
        world.publish("loop", version, at=NOW - (40 - 10 * number) * DAY)
    # it had left before, and was built again
    world.retired = {"loop/1.0": NOW - 30 * DAY}
    needed = Needed(bundles=frozenset(BUNDLES))
    found = sweep(world.contents, needed, KEEP, now=NOW)
    world.retired = dict(found.retired)
    world.delete([each.key for removal in found.retiring for each in removal.objects])
    assert going(sweep(world.contents, needed, KEEP, now=NOW)) == []
    assert "modules of loop 1.0" in whats(sweep(world.contents, needed, KEEP, now=NOW + 7 * DAY))


@given(worlds(), st.data())
def test_a_removal_may_be_broken_off_anywhere(world: World, data: st.DataObject) -> None:
    found = sweep(world.contents, Needed(), KEEP, now=NOW)
    order = going(found)
    done = data.draw(st.integers(0, len(order)))
    # what has left the index is noted before anything goes
    world.retired = dict(found.retired)
    world.delete(order[:done])
    for made in world.manifests.values():
        assert {file.key for file in made.files}.isdisjoint(order[:done])
    world.apply(sweep(world.contents, Needed(), KEEP, now=NOW))
    assert going(sweep(world.contents, Needed(), KEEP, now=NOW)) == []


@pytest.mark.parametrize(("limit", "gone"), [(40, []), (39, ["a"]), (20, ["a", "b"]), (0, ["a", "b"])])
def test_a_cache_loses_what_was_not_used_for_longest(limit: int, gone: list[str]) -> None:
    files = [CachedFile(name=name, size=10, used=used) for used, name in enumerate("abcd")]
    assert [file.name for file in overflow(reversed(files), limit, spare=2)] == gone
    assert list(overflow([replace(file, size=1) for file in files], 4, spare=0)) == []
