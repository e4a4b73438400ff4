"""Header bundles: where they are looked for. An S3 server of our own, mirrors that do not have anything any more."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kmodci.bucket import Bucket
from kmodci.caches import Caches
from kmodci.errors import Gone
from kmodci.ingredients import Ingredients
from kmodci.keys import headers_key
from kmodci.matrix import select
from kmodci.model import Kernel, Package
from kmodci.modulefile import Module, PathSource
from kmodci.paths import Paths
from kmodci.repos.base import Trust
from kmodci.schema import Scope
from kmodci.store import Store
from kmodci.supply import Supply
from kmodci.watch import bundle_note, bundled
from support.kernels import by_repository, kernels
from support.s3 import bucket, s3

pytestmark = pytest.mark.slow

__all__ = ["bucket", "s3"]


class Mirrors:
    """That have dropped everything."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def package(self, package: Package, path: Path) -> None:
        self.asked.append(package.url)
        raise Gone(package.url, "the server answered 404")


@pytest.fixture
def mirrors() -> Mirrors:
    return Mirrors()


@pytest.fixture
def supply(tmp_path: Path, bucket: Bucket, mirrors: Mirrors) -> Supply:
    store = Store(f"sqlite:///{tmp_path / 'kmodci.sqlite'}")
    store.create()
    return Supply(
        paths=Paths(tmp_path),
        store=store,
        bucket=bucket,
        downloads=cast(Any, mirrors),
        images=cast(Any, SimpleNamespace(recipes={})),
        ingredients=Ingredients(
            downloads=cast(Any, mirrors),
            store=store,
            tarballs=tmp_path,
            trust={name: Trust() for name in by_repository()},
        ),
        preparing=cast(Any, SimpleNamespace()),
        caches=Caches(Paths(tmp_path), 1 << 30),
    )


@pytest.fixture
def kernel() -> Kernel:
    return replace(kernels()[0], gone=1_000_000.0)


def lost(supply: Supply, kernel: Kernel) -> Sequence[str]:
    """Why its build is not to be tried."""
    modules = {"loop": Module(source=PathSource(path=Path("/src")), version="1.0")}
    there = bundled(supply.store)
    entries = select([kernel], modules, Scope(), toolchains=("gcc-16",), today=date(2026, 11, 24), bundled=there)
    return [entry.lost for entry in entries]


def test_a_kernel_that_is_gone_is_built_of_its_bundle_in_the_bucket(
    supply: Supply, kernel: Kernel, mirrors: Mirrors
) -> None:
    sha256 = hashlib.sha256(b"a bundle").hexdigest()
    supply.bucket.put(headers_key(sha256), b"a bundle")
    supply.store.put_meta(bundle_note(kernel.headers_digest), sha256)
    assert lost(supply, kernel) == [""]
    assert supply.bundle(kernel).path.read_bytes() == b"a bundle"
    assert mirrors.asked == []


def test_a_bundle_that_is_not_there_after_all_is_asked_for_once(
    supply: Supply, kernel: Kernel, mirrors: Mirrors
) -> None:
    supply.store.put_meta(bundle_note(kernel.headers_digest), "0" * 64)
    assert lost(supply, kernel) == [""]
    with pytest.raises(Gone):
        supply.bundle(kernel)
    assert mirrors.asked == [kernel.headers[0].url]
    assert lost(supply, kernel) == [kernel.absence]
