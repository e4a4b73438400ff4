"""What must hold of a farm after whatever was done to it."""

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from kmodci.bucket import Bucket
from kmodci.errors import KmodciError
from kmodci.keys import KERNEL_LISTS
from kmodci.manifest import IndexEntry, VersionIndex
from kmodci.model import Status
from support.farm import LiveFarm

SUCCESS, RETRY = 0, 5


def start_master(farm: LiveFarm) -> threading.Thread:
    """Starts a master as `kmodci up` does, and does not wait for it: it may be killed before it is up."""

    def run() -> None:
        with suppress(KmodciError):
            farm.master.start(url=farm.url)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    farm.until(lambda: farm.master.pid())
    return thread


def entries_of(bucket: Bucket) -> dict[str, IndexEntry]:
    """What nodes read, by key."""
    return {
        found.key: IndexEntry.model_validate_json(bucket.get(found.key) or b"")
        for found in bucket.list("index/")
        if found.key.count("/") == 5
    }


def indices_of(bucket: Bucket) -> dict[str, VersionIndex]:
    """The index of each version, by key."""
    return {
        found.key: VersionIndex.model_validate_json(bucket.get(found.key) or b"")
        for found in bucket.list("index/")
        if found.key.count("/") == 2
    }


def faults_of_bucket(bucket: Bucket) -> list[str]:
    """Where what the index says is not so, and what is there that no index and no manifest names."""
    objects = {found.key: found.size for found in bucket.list()}
    entries = entries_of(bucket)
    # the lists of kernels are of no build
    lists = {key for key in objects if key.startswith(KERNEL_LISTS)}
    faults, named = [], set(entries) | set(indices_of(bucket)) | lists
    for key, entry in entries.items():
        named |= {entry.manifest, entry.manifest.replace("manifest.json", "build.log.zst")}
        if entry.manifest not in objects:
            faults.append(f"{key} names {entry.manifest}, which is not there")
        for file in entry.files:
            named.add(file.key)
            content = bucket.get(file.key)
            if content is None or (len(content), hashlib.sha256(content).hexdigest()) != (file.size, file.sha256):
                faults.append(f"{key}: {file.key} is not what it should be")
    for key in objects.keys() - named:
        if key.startswith(("modules/", "index/")) or "rclone" in key or key.endswith((".part", ".tmp")):
            faults.append(f"{key} is in the bucket, and nothing names it")
    return faults


def await_all_built(farm: LiveFarm, build_ids: set[str], *, seconds: float = 600) -> None:
    """Until each has an outcome, which must be `built`."""

    def ended() -> bool:
        return build_ids <= farm.store.outcomes().keys()

    farm.until(ended, seconds=seconds)
    bad = {name: o.cause for name, o in farm.store.outcomes().items() if o.status is not Status.BUILT}
    assert not bad, bad


def let_go(farm: LiveFarm, build_ids: set[str], *, seconds: float = 240) -> None:
    """Opens the gates of `gated` builds again and again, until all of these are built."""

    def ended() -> bool:
        farm.open_gates()
        return build_ids <= farm.store.outcomes().keys()

    farm.until(ended, seconds=seconds)
    await_all_built(farm, build_ids)


def await_rest(farm: LiveFarm, *, seconds: float = 60) -> None:
    """Until no request is open, no container is left and the index is written."""
    farm.until(lambda: not farm.get("buildrequests?complete=false&limit=1")["buildrequests"], seconds=seconds)
    farm.until(lambda: not farm.containers(), seconds=seconds)

    def indexed() -> bool:
        inside = sum(len(index.kernels) for index in indices_of(farm.bucket).values())
        return inside == len(entries_of(farm.bucket))

    farm.until(indexed, seconds=seconds)


def check_all(farm: LiveFarm, build_ids: set[str]) -> None:
    """Every build once in the index, everything named there whole, one success of each, nothing else visible."""
    entries = entries_of(farm.bucket).values()
    found = Counter(f"{e.module}/{e.distro}-{e.series}-{e.arch}/{e.release}" for e in entries)
    assert found == Counter(build_ids)
    listed = Counter(
        f"{e.module}/{e.distro}-{e.series}-{e.arch}/{e.release}"
        for index in indices_of(farm.bucket).values()
        for e in index.kernels
    )
    assert listed == Counter(build_ids)
    assert faults_of_bucket(farm.bucket) == []
    wrong = {name: got for name in build_ids if (got := results(farm, name)).count(SUCCESS) != 1}
    assert not wrong, wrong


def results(farm: LiveFarm, build_id: str) -> list[int]:
    """How the builds of one builder ended, in Buildbot's numbers."""
    return [build["results"] for build in farm.builds(build_id)]


def repeats(farm: LiveFarm) -> Mapping[str, int]:
    """How often each step was begun more often than builds were asked for, over the whole life of the farm."""
    builds = farm.get("builds?property=*")["builds"]
    begun: Counter[str] = Counter()
    wanted: set[str] = set()
    for build in builds:
        name = build["properties"].get("virtual_builder_name", [""])[0]
        if name.count("/") == 2:
            wanted.add(name)
            for step in farm.get(f"builds/{build['buildid']}/steps")["steps"]:
                begun[step["name"]] += bool(step["started_at"])
    return {step: count - len(wanted) for step, count in begun.items()}


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began
