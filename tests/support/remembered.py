"""A farm of the shipped configuration, as its store remembers it."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kmodci.images import recipe
from kmodci.matrix import keys, select
from kmodci.model import ModuleVersion, Outcome, Status
from kmodci.settings import load
from kmodci.store import Store

from .kernels import by_repository

BUILT = "v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64"
FAILED = "v4l2loopback/debian-bullseye-amd64/5.10.0-30-amd64"
VERSION = ModuleVersion(module="v4l2loopback", version="0.15.4-2", origin="v4l2loopback-dkms 0.15.4-2", digest="d1")


def remember(config: Path) -> Store:
    """It has found all kernels, built for one of them and failed for another."""
    settings = load(config)
    store = Store(settings.database_url)
    store.create()
    for repository, kernels in by_repository().items():
        store.put_kernels(repository, kernels)
    store.put_module_version(VERSION)
    recipes = {name: recipe(name, distro=t.distro, series=t.series) for name, t in settings.toolchains.items()}
    today = datetime.now(UTC).date()
    entries = select(store.kernels().values(), settings.modules, settings.find_scope(), toolchains=recipes, today=today)
    found = keys(entries, store.module_versions(), recipes, settings.modules)
    outcome = Outcome(
        build_id=next(e.build_id for e in entries if str(e.build_id) == BUILT),
        key=found[BUILT],
        status=Status.BUILT,
        module_version=VERSION.version,
        kernel_version="6.1.192-2",
        finished=0.0,
        seconds=5.2,
        make_seconds=2.04,
        build_url="http://127.0.0.1:8010/#/builders/7/builds/1",
        manifest="modules/v4l2loopback/0.15.4-2/debian/bookworm/amd64/6.1.0-56-amd64/manifest.json",
    )
    store.put_outcome(outcome)
    failed = next(e.build_id for e in entries if str(e.build_id) == FAILED)
    cause = "v4l2loopback.c:12: error: no such field"
    store.put_outcome(
        replace(outcome, build_id=failed, key=found[FAILED], status=Status.FAILED, cause=cause, manifest="")
    )
    return store
