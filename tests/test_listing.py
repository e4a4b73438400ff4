"""The lists in the bucket, as a farm writes them."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from kmodci.bucket import Bucket
from kmodci.farm import Farm
from kmodci.kernellist import kernel_list
from kmodci.keys import kernel_list_key
from kmodci.listing import write_kernel_lists
from kmodci.schema import Scope
from kmodci.store import Store
from support.kernels import by_repository
from support.s3 import bucket, s3

__all__ = ["bucket", "s3"]
pytestmark = pytest.mark.slow


@pytest.fixture
def farm(tmp_path: Path, bucket: Bucket) -> Farm:
    """As much of one as is asked for."""
    store = Store(f"sqlite:///{tmp_path / 'store.sqlite'}")
    store.create()
    return cast(Farm, SimpleNamespace(store=store, bucket=bucket, scope=Scope()))


def test_they_are_written_when_the_kernels_are_others(farm: Farm, bucket: Bucket) -> None:
    listed = by_repository()
    farm.store.put_kernels("trixie main", listed["trixie main"])
    keys = {arch: kernel_list_key(arch) for arch in ("amd64", "arm64")}
    assert (
        write_kernel_lists(farm)
        == tuple(keys.values())
        == (
            "index/kernel-crawler/x86_64/list.json",
            "index/kernel-crawler/aarch64/list.json",
        )
    )
    for arch, key in keys.items():
        assert bucket.get(key) == kernel_list(listed["trixie main"], arch)
    assert write_kernel_lists(farm) == ()
    farm.store.put_kernels("sid main", [k for k in listed["sid main"] if k.target.arch == "arm64"])
    assert write_kernel_lists(farm) == (keys["arm64"],)


def test_only_what_is_in_scope(farm: Farm, bucket: Bucket) -> None:
    for name, kernels in by_repository().items():
        farm.store.put_kernels(name, kernels)
    farm.scope = Scope(kernels=("debian-sid-amd64/*",))
    write_kernel_lists(farm)
    sid = [kernel for kernel in farm.store.kernels().values() if str(kernel.target) == "debian-sid-amd64"]
    assert bucket.get(kernel_list_key("amd64")) == kernel_list(sid, "amd64")
    assert bucket.get(kernel_list_key("arm64")) == b"{}\n"
