import gzip
import hashlib
import io
import json
import lzma
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from kmodci.distros import Layout, layout_of
from kmodci.errors import IndexDamaged
from kmodci.headers import UNUSABLE, BundleFacts, kernel_facts, make_bundle, parse_symvers, request
from kmodci.model import Kernel, Package, PackageKind, Target
from support.pacmanrepo import headers_package

DATA = Path(__file__).parent / "data" / "headers"
RELEASES = {"6.1.0-50-amd64": ("6.1.0-50", "6.1"), "6.12.117+deb13-amd64": ("6.12.117+deb13", "6.12.117+deb13")}


def packages(release: str) -> list[tuple[Package, Path]]:
    common, kbuild = RELEASES[release]
    names = (f"linux-headers-{release}", f"linux-headers-{common}-common", f"linux-kbuild-{kbuild}")
    found = []
    for name in names:
        (path,) = DATA.glob(f"{name}_*.deb")
        _, version, arch = path.stem.split("_")
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        package = Package(name=name, version=version, arch=arch, url="http://x", size=len(content), sha256=digest)
        found.append((package, path))
    return found


def layout(release: str) -> Layout:
    kernel = Kernel(
        target=Target(distro="debian", series="sid", arch="amd64"),
        release=release,
        version="1",
        flavour="amd64",
        toolchain="gcc-12",
        repository="sid main",
        headers=tuple(package for package, _ in packages(release)),
    )
    return layout_of(kernel)


def made(release: str, target: Path, found: list[tuple[Package, Path]] | None = None, **more: Path) -> BundleFacts:
    return make_bundle(found or packages(release), target, layout=layout(release), release=release, **more)


def arch_bundle(tmp_path: Path, release: str, *, inside: str = "", **files: str) -> dict[str, tarfile.TarInfo]:
    """What is in the bundle of an Arch kernel. inside: what its headers say they are; files: further ones of it."""
    build = f"usr/lib/modules/{release}/build"
    made = headers_package(tmp_path, "linux-headers", "6.12.7.arch1-1", inside or release, build=build, **files)
    package = Package(name="linux-headers", version="6.12.7.arch1-1", arch="amd64", url="http://x", size=0, sha256="")
    kernel = Kernel(
        target=Target(distro="arch", series="rolling", arch="amd64"),
        release=release,
        version=package.version,
        flavour="linux",
        toolchain="gcc-16",
        repository="arch-rolling-amd64 core",
        headers=(package,),
    )
    make_bundle([(package, made)], tmp_path / "bundle", layout=layout_of(kernel), release=release)
    return listing(tmp_path / "bundle")


def test_headers_of_arch_without_the_kernel_itself(tmp_path: Path) -> None:
    """Which is among them for the sake of BTF."""
    found = arch_bundle(tmp_path, "6.12.7-arch1-1", vmlinux="50 MB", other="1")
    top = "linux-headers-6.12.7-arch1-1"
    names = {name.removeprefix(f"{top}/") for name, info in found.items() if info.isreg()}
    assert names == {".config", "Module.symvers", "Makefile", "include/generated/utsrelease.h", "other"}


def test_headers_of_another_release_of_arch(tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged, match=r"its headers are of another kernel than 6\.12\.7-arch1-1:"):
        arch_bundle(tmp_path, "6.12.7-arch1-1", inside="6.12.7-arch1-1-ARCH")


def listing(bundle: Path) -> dict[str, tarfile.TarInfo]:
    with bundle.open("rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)
        with tarfile.open(fileobj=stream, mode="r|") as tar:
            return {info.name: info for info in tar}


@pytest.mark.parametrize("release", RELEASES)
def test_what_is_in_a_bundle(tmp_path: Path, release: str) -> None:
    common, kbuild = RELEASES[release]
    made(release, tmp_path / "b")
    found = listing(tmp_path / "b")
    own = f"linux-headers-{release}"
    assert list(found)[:2] == [f"{own}/.config", f"{own}/Module.symvers"]
    assert {name.split("/")[0] for name in found} == {own, f"linux-headers-{common}-common", f"linux-kbuild-{kbuild}"}
    assert found[f"{own}/scripts"].linkname == f"../linux-kbuild-{kbuild}/scripts"
    assert found[f"linux-headers-{common}-common/scripts"].linkname == f"../linux-kbuild-{kbuild}/scripts"
    clock = f"linux-headers-{common}-common/include/dt-bindings/clock"
    assert found[f"{clock}/qcom,dispcc-sm8150.h"].linkname == "qcom,dispcc-sm8250.h"


def test_what_no_build_reads_is_left_out(tmp_path: Path) -> None:
    made("6.1.0-50-amd64", tmp_path / "b")
    found = listing(tmp_path / "b")
    assert "linux-headers-6.1.0-50-common/arch/x86/include/asm/bug.h" in found
    assert not [name for name in found if "/arch/alpha" in name or "/arch/arm64" in name]
    assert "linux-headers-6.1.0-50-amd64/include/config/kernel.release" in found
    assert "linux-headers-6.1.0-50-amd64/include/config/MODULES" not in found
    assert not [name for name in found if "modules/" in name]


@pytest.mark.parametrize("release", RELEASES)
def test_it_unpacks_and_every_link_leads_somewhere(tmp_path: Path, release: str) -> None:
    made(release, tmp_path / "b")
    out = tmp_path / "src"
    out.mkdir()
    subprocess.run(["tar", "--zstd", "-xf", tmp_path / "b", "-C", out], check=True)
    assert (out / f"linux-headers-{release}/scripts/Makefile.modinst").is_file()
    for link in out.rglob("*"):
        if link.is_symlink() and link.name != "tools":  # of which the recorded packages hold nothing
            assert link.resolve(strict=True).is_relative_to(out)


def test_the_same_packages_make_the_same_bundle(tmp_path: Path) -> None:
    facts = [
        made("6.1.0-50-amd64", tmp_path / name, pieces=pieces)
        for name, pieces in (("a", None), ("b", tmp_path / "p"), ("c", tmp_path / "p"))
    ]
    assert facts[0] == facts[1] == facts[2]
    assert hashlib.sha256((tmp_path / "c").read_bytes()).hexdigest() == facts[0].sha256
    assert facts[0].size == (tmp_path / "c").stat().st_size


def test_pieces_are_used_again(tmp_path: Path) -> None:
    wanted = packages("6.1.0-50-amd64")
    facts = made("6.1.0-50-amd64", tmp_path / "a", pieces=tmp_path / "p")
    missing = [wanted[0], *((package, tmp_path / "gone") for package, _ in wanted[1:])]
    assert made("6.1.0-50-amd64", tmp_path / "b", missing, pieces=tmp_path / "p") == facts


def test_the_kernels_own_files(tmp_path: Path) -> None:
    made("6.12.117+deb13-amd64", tmp_path / "b")
    crcs, config = kernel_facts(tmp_path / "b", layout("6.12.117+deb13-amd64"))
    assert (crcs["kfree"], crcs["module_layout"]) == (0x037A0CBA, 0x2F9B2B9A)
    assert "cpu_cache_invalidate_memregion" in crcs
    assert config["CONFIG_MODVERSIONS"] == "y"
    assert config["CONFIG_CC_VERSION_TEXT"].startswith("x86_64-linux-gnu-gcc-14 ")
    with pytest.raises(IndexDamaged, match=r"has no linux-headers-6\.1"):
        kernel_facts(tmp_path / "b", layout("6.1.0-50-amd64"))


def test_a_wrong_package_leaves_nothing(tmp_path: Path) -> None:
    (own, path), *others = packages("6.1.0-50-amd64")
    (tmp_path / "bad.deb").write_bytes(path.read_bytes()[:-1])
    with pytest.raises(IndexDamaged, match="is not what the index names"):
        made("6.1.0-50-amd64", tmp_path / "out" / "b", [(own, tmp_path / "bad.deb"), *others])
    assert not (tmp_path / "out").exists()


def test_the_first_package_must_be_the_kernels(tmp_path: Path) -> None:
    with pytest.raises(IndexDamaged, match="no kernel's headers"):
        made("6.1.0-50-amd64", tmp_path / "b", packages("6.1.0-50-amd64")[1:])


def run(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "kmodci.headers"], input=text, capture_output=True, text=True)


def test_as_a_program(tmp_path: Path) -> None:
    release = "6.1.0-50-amd64"
    wanted, where = packages(release), layout(release)
    done = run(request(wanted, tmp_path / "b", layout=where, release=release, pieces=tmp_path / "p"))
    facts = made(release, tmp_path / "c")
    assert json.loads(done.stdout) == {"sha256": facts.sha256, "size": facts.size, "tools": facts.tools.to_json()}
    done = run(request(wanted[1:], tmp_path / "d", layout=where, release=release))
    assert (done.returncode, done.stdout) == (UNUSABLE, "")
    assert "no kernel's headers" in done.stderr
    assert run("{}").returncode == 2


def test_symvers_and_config_of_a_mirror_gone_mad() -> None:
    with pytest.raises(IndexDamaged):
        parse_symvers("<html>\n")
    with pytest.raises(IndexDamaged):
        parse_symvers("0x12")
    assert parse_symvers("") == {}


def source_kernel(*more: PackageKind) -> Kernel:
    kinds = (PackageKind.SOURCE, PackageKind.CONFIG, *more)
    parts = [
        Package(name="linux-6.1.7-y", version="1", arch="amd64", url="http://x", size=0, sha256="", kind=kind)
        for kind in kinds
    ]
    return Kernel(
        target=Target(distro="vanilla", series="test", arch="amd64"),
        release="6.1.7-y",
        version="1",
        flavour="y",
        toolchain="gcc-12",
        repository="by-hand",
        headers=tuple(parts),
    )


TREE = {
    ".config": "CONFIG_MODULES=y\n",
    "Makefile": "",
    "include/generated/utsrelease.h": '#define UTS_RELEASE "6.1.7-y"\n',
}


def tree(path: Path, files: dict[str, str], *more: tarfile.TarInfo) -> Path:
    """What a container handed back."""
    with tarfile.open(path, "w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"linux/{name}")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
        for info in more:
            tar.addfile(info)
    return path


def from_tree(path: Path, target: Path, *symvers: Path) -> BundleFacts:
    kernel = source_kernel(*(PackageKind.SYMVERS for _ in symvers))
    found = [(kernel.headers[0], path), *((kernel.headers[2], each) for each in symvers)]
    return make_bundle(found, target, layout=layout_of(kernel), release=kernel.release)


def test_what_was_made_of_a_source(tmp_path: Path) -> None:
    facts = from_tree(tree(tmp_path / "t", TREE), tmp_path / "b")
    assert facts.tools.programs == ()
    assert sorted(listing(tmp_path / "b")) == sorted(f"linux-6.1.7-y/{name}" for name in TREE)
    where = layout_of(source_kernel())
    assert kernel_facts(tmp_path / "b", where, has_symvers=False) == (None, {"CONFIG_MODULES": "y"})
    with pytest.raises(IndexDamaged, match=r"has no linux-6\.1\.7-y/Module\.symvers"):
        kernel_facts(tmp_path / "b", where)


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_symvers_of_a_kernel_from_source_is_its_vendors(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Not what a container says."""
    (tmp_path / "s").write_bytes(pack(b"0x00000002\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n"))
    path = tree(tmp_path / "t", {**TREE, "Module.symvers": "0x00000001\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n"})
    from_tree(path, tmp_path / "b", tmp_path / "s")
    assert kernel_facts(tmp_path / "b", layout_of(source_kernel()))[0] == {"kfree": 2}
    assert [name for name in listing(tmp_path / "b") if name.endswith("Module.symvers")] == [
        "linux-6.1.7-y/Module.symvers"
    ]
    (tmp_path / "s").write_bytes(pack(b"<html>"))
    with pytest.raises(IndexDamaged, match=r"not a Module\.symvers"):
        from_tree(path, tmp_path / "c", tmp_path / "s")


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("files", "more", "why"),
    [
        ({}, (), "no kernel's headers in it"),
        ({**TREE, ".config": None}, (), "no kernel's headers in it"),
        (
            {**TREE, "include/generated/utsrelease.h": '#define UTS_RELEASE "6.1.8-y"'},
            (),
            "of another kernel than 6.1.7-y",
        ),
        (TREE, (special("linux/include/etc", tarfile.SYMTYPE, "/etc"),), "is a link out of the tree"),
        (TREE, (special("linux/include/up", tarfile.SYMTYPE, "../../../etc"),), "is a link out of the tree"),
        (TREE, (special("linux/../../etc/passwd", tarfile.REGTYPE),), "could climb out of the tree"),
        (TREE, (special("/etc/passwd", tarfile.REGTYPE),), "could climb out of the tree"),
        (TREE, (special("linux/null", tarfile.CHRTYPE),), "is neither file, folder nor link"),
        (TREE, (special("linux/a\nb", tarfile.REGTYPE),), "has control characters in its name"),
        (
            TREE,
            (special("linux/hard", tarfile.LNKTYPE, "linux/none"),),
            "is a hard link to 'linux/none', which is not there",
        ),
    ],
)
def test_a_tree_that_is_not_believed(
    tmp_path: Path, files: dict[str, str | None], more: tuple[tarfile.TarInfo, ...], why: str
) -> None:
    path = tree(tmp_path / "t", {name: text for name, text in files.items() if text is not None}, *more)
    with pytest.raises(IndexDamaged, match=why):
        from_tree(path, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_tree_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"make: *** error\n" * 100)
    with pytest.raises(IndexDamaged, match="what was made of the source: damaged archive"):
        from_tree(tmp_path / "t", tmp_path / "b")


def test_the_programs_of_a_tree_are_told(tmp_path: Path) -> None:
    fixdep = lzma.decompress((DATA.parent / "hosttools" / "fixdep.arm64.xz").read_bytes())
    info = special("linux/scripts/basic/fixdep", tarfile.REGTYPE)
    info.size, info.mode = len(fixdep), 0o755
    tree(tmp_path / "t", TREE)
    with tarfile.open(tmp_path / "t", "a") as tar:
        tar.addfile(info, io.BytesIO(fixdep))
        info.name, info.mode = "linux/scripts/data", 0o644
        tar.addfile(info, io.BytesIO(fixdep))
    [found] = from_tree(tmp_path / "t", tmp_path / "b").tools.programs
    assert (found.path, found.machine) == ("scripts/basic/fixdep", "EM_AARCH64")


@pytest.mark.parametrize("release", RELEASES)
def test_debians_programs_are_in_a_package_of_their_own(tmp_path: Path, release: str) -> None:
    assert made(release, tmp_path / "b").tools.to_json() == ""
