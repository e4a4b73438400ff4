import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from kmodci import trees
from kmodci.errors import KmodciError
from kmodci.model import Kernel, Package, Target
from kmodci.tarzst import Kind, Member, frame, write


def package(name: str) -> Package:
    return Package(name=name, version="1", arch="amd64", url="http://x", size=1, sha256=name.encode().hex())


def kernel(release: str, arch: str = "amd64") -> Kernel:
    return Kernel(
        target=Target(distro="debian", series="sid", arch=arch),
        release=release,
        version="1",
        flavour=arch,
        toolchain="gcc-14",
        repository="sid main",
        headers=(package(f"linux-headers-{release}"), package("linux-headers-6.1-common"), package("linux-kbuild-6.1")),
    )


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def bundle(folder: Path, of: Kernel) -> Path:
    own, common, kbuild = (found.name for found in of.headers)
    members = [
        Member(name=f"{own}/.config", data=b"CONFIG_X=y\n"),
        Member(name=f"{own}/.kernelvariables", data=b"ARCH = x\n"),
        Member(name=f"{own}/scripts", kind=Kind.LINK, target=f"../{kbuild}/scripts"),
        Member(name=f"{common}/include/a.h", data=b"int a;\n"),
        Member(name=f"{kbuild}/scripts/fixdep", data=b"#!", executable=True),
    ]
    write(folder / "bundle.tar.zst", [frame(members[:3]), frame(members[3:])])
    return folder / "bundle.tar.zst"


def unpacked(of: Kernel, cache: Path, sha256: str = "b1") -> dict[str, Path]:
    wanted = trees.names(of, sha256)
    lacking = {name: key for name, key in wanted.items() if not trees.is_there(cache, key, name)}
    trees.unpack(bundle(cache.parent, of), lacking, cache, kernel=of, scratch=cache.parent)
    return {name: cache / key / name for name, key in wanted.items()}


def test_each_package_has_a_folder_and_kernels_share_those_of_shared_packages(cache: Path) -> None:
    first = unpacked(kernel("6.1-amd64"), cache)
    own, common, kbuild = first.values()
    assert (own / ".config").read_text() == "CONFIG_X=y\n"
    assert (own / "scripts").readlink() == Path("../linux-kbuild-6.1/scripts")
    assert os.access(kbuild / "scripts/fixdep", os.X_OK)
    assert {oct(path.stat().st_mode)[-3:] for path in first.values()} == {"755"}
    before = (common / "include/a.h").stat().st_ino
    second = unpacked(kernel("6.1-rt-amd64"), cache, "b2")
    assert second["linux-headers-6.1-common"] == common
    assert (common / "include/a.h").stat().st_ino == before, "not unpacked again"
    assert second["linux-headers-6.1-rt-amd64"] != own


def test_another_architecture_has_folders_of_its_own_and_says_which_compiler(cache: Path) -> None:
    amd64, arm64 = kernel("6.1-amd64"), kernel("6.1-arm64", "arm64")
    assert not set(trees.names(amd64, "b").values()) & set(trees.names(arm64, "b").values())
    own = next(iter(unpacked(arm64, cache).values()))
    assert (own / ".kernelvariables").read_text() == "ARCH = x\noverride CROSS_COMPILE = aarch64-linux-gnu-\n"
    own = next(iter(unpacked(amd64, cache).values()))
    assert (own / ".kernelvariables").read_text() == "ARCH = x\n"


def test_a_bundle_that_lacks_a_folder_or_is_damaged(cache: Path) -> None:
    other = kernel("6.1-amd64")
    wanted = trees.names(replace(other, headers=(*other.headers, package("linux-kbuild-9"))), "b")
    made = bundle(cache.parent, other)
    with pytest.raises(KmodciError, match="cannot be unpacked"):
        trees.unpack(made, wanted, cache, kernel=other, scratch=cache.parent)
    made.write_bytes(made.read_bytes()[:-40])
    with pytest.raises(KmodciError, match="cannot be unpacked"):
        trees.unpack(made, trees.names(other, "b"), cache, kernel=other, scratch=cache.parent)
    assert list(cache.iterdir()) == [], "all or nothing"


def test_the_longest_unused_goes_first_and_what_may_be_mounted_stays(cache: Path) -> None:
    folders = [next(iter(unpacked(kernel(f"6.{n}-amd64"), cache, f"b{n}").values())).parent for n in range(3)]
    shared = set(cache.iterdir()) - set(folders)
    day_ago = time.time() - 86400
    for number, folder in enumerate(folders):
        os.utime(folder / "size", (day_ago + number, day_ago + number))
    sizes = {folder: int((folder / "size").read_text()) for folder in cache.iterdir()}
    assert trees.prune(cache, sum(sizes.values())) == 0
    assert trees.prune(cache, sum(sizes.values()) - 1) == 1
    assert set(cache.iterdir()) == {*folders[1:], *shared}
    assert trees.prune(cache, 0) == 2
    assert set(cache.iterdir()) == shared, "used just now"


def test_on_its_own_machine_nothing_names_a_cross_compiler(cache: Path) -> None:
    of = kernel("6.1-arm64", "arm64")
    made = bundle(cache.parent, of)
    for runs_on, said in (("amd64", "override CROSS_COMPILE = aarch64-linux-gnu-\n"), ("arm64", "")):
        wanted = trees.names(of, "b1", runs_on)
        lacking = {name: key for name, key in wanted.items() if not trees.is_there(cache, key, name)}
        trees.unpack(made, lacking, cache, kernel=of, scratch=cache.parent, runs_on=runs_on)
        own = cache / wanted[of.headers[0].name] / of.headers[0].name
        assert (own / ".kernelvariables").read_text() == f"ARCH = x\n{said}"
    own, *others = trees.names(of, "b1").items()
    native, *same = trees.names(of, "b1", "arm64").items()
    assert (own != native, others) == (True, same)
