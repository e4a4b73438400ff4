"""prepare-headers in the farm's own sandbox: a real compiler, a kernel's real source, and small ones that misbehave."""

import io
import re
import subprocess
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from kmodci.distros import DISTROS, layout_of
from kmodci.errors import BuildImpossible, HeadersUnusable
from kmodci.headers import BundleFacts, kernel_facts, make_bundle
from kmodci.images import Recipe
from kmodci.kernelconfig import compiler_of
from kmodci.model import Kernel, Package, PackageKind, Target
from kmodci.paths import Paths
from kmodci.preparing import Preparing
from kmodci.sandbox import LABEL, Limits
from support.containers import engine, preparing_recipe
from support.farm import until
from support.headertrees import flat_tree, in_memory, own_files
from support.kernelsource import KernelSource, kernel_source
from support.realkernels import RealKernel, newest

pytestmark = [pytest.mark.docker, pytest.mark.network, pytest.mark.timeout(600)]

LIMITS = Limits(memory=768 << 20, disk=512 << 20, processes=512, seconds=300, output=1 << 20)
SMALL = {
    "Makefile": "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\nEXTRAVERSION = -x\n"
    "olddefconfig:\n\ttrue\n"
    "modules_prepare:\n\tmkdir -p include/config\n"
    "\techo $(VERSION).$(PATCHLEVEL).$(SUBLEVEL)$(EXTRAVERSION) >include/config/kernel.release\n",
    "Kconfig": 'config STRUCTURES\n\tbool "Other structures"\n\tdepends on SOMETHING\nconfig DERIVED\n\tdef_bool y\n'
    'config SOME_DRIVER\n\ttristate "In Rust"\n\tdepends on RUST\n',
    "scripts/mod/modpost.c": "",
    "include/linux/kernel.h": "",
    "arch/x86/include/asm/bug.h": "",
}
CONFIG = "CONFIG_MODULES=y\nCONFIG_X86_64=y\n"


def kernel(release: str, arch: str = "amd64", *, symvers: bool = False) -> Kernel:
    kinds = [PackageKind.SOURCE, PackageKind.CONFIG, *([PackageKind.SYMVERS] if symvers else [])]
    parts = (
        Package(name=f"linux-{release}", version=release, arch=arch, url=f"http://x/{k}", size=0, sha256=k * 8, kind=k)
        for k in kinds
    )
    return Kernel(
        target=Target(distro="vanilla", series="test", arch=arch),
        release=release,
        version=release,
        flavour="test",
        toolchain="gcc-14",
        repository="by-hand",
        headers=tuple(parts),
    )


ENGINE = replace(engine(), farm="prepare-test")


@pytest.fixture
def preparing(bundle: Path, tmp_path: Path) -> Iterator[Preparing]:
    paths = Paths(tmp_path / "state")
    paths.state.mkdir()
    (tmp_path / "config").write_text(CONFIG)
    yield Preparing(paths=paths, bundle=lambda _: bundle, limits=LIMITS)
    assert list((paths.state / "inputs").iterdir()) == []
    client = engine().client()
    assert client.containers(all=True, filters={"label": f"{LABEL}=prepare-test"}) == []
    client.close()


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return preparing_recipe("gcc-14", "trixie")


@pytest.fixture(scope="module")
def kernels() -> dict[str, RealKernel]:
    return {
        "amd64": newest("trixie", "cloud-amd64")["cloud-amd64"],
        "arm64": newest("trixie", "arm64", arch="arm64")["arm64"],
    }


@pytest.fixture(scope="module")
def source(kernels: dict[str, RealKernel]) -> KernelSource:
    return kernel_source(kernels["amd64"], "trixie")


def tarball(path: Path, files: dict[str, str], *more: tarfile.TarInfo, top: str = "linux-6.1.7") -> Path:
    with tarfile.open(path, "w:xz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text.encode()))
        for info in more:
            tar.addfile(info)
    return path


def small(tmp_path: Path, **more: str) -> Path:
    return tarball(tmp_path / "source", {**SMALL, **{name.replace("_", "/"): text for name, text in more.items()}})


def more(tmp_path: Path) -> dict[str, Path]:
    """What `Preparing.tree` is told beside a source."""
    return {"config": tmp_path / "config", "target": tmp_path / "tree"}


def own_config(real: RealKernel, path: Path) -> Path:
    """The configuration of a kernel of Debian, but that modules need no CRCs."""
    [config] = own_files(real, ".config")
    path.write_bytes(re.sub(rb"(?m)^CONFIG_(ASM_)?MODVERSIONS=y\n", b"", config))
    return path


@dataclass(frozen=True)
class Made:
    facts: BundleFacts
    bundle: Path


def made_bundle(of: Kernel, tree: Path, target: Path) -> Made:
    return Made(make_bundle([(of.headers[0], tree)], target, layout=layout_of(of), release=of.release), target)


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_real_kernel(
    preparing: Preparing,
    recipe: Recipe,
    kernels: dict[str, RealKernel],
    source: KernelSource,
    tmp_path: Path,
    arch: str,
) -> None:
    wanted = kernel(f"{source.version}-mine.1+x", arch)
    config = own_config(kernels[arch], tmp_path / "config")
    preparing.tree(wanted, recipe, ENGINE, source=source.tarball, config=config, target=tmp_path / "tree")
    made = made_bundle(wanted, tmp_path / "tree", tmp_path / "bundle")
    assert made.facts.tools.run_with(recipe.glibc)
    names = {program.path for program in made.facts.tools.programs}
    assert {"scripts/basic/fixdep", "scripts/mod/modpost"} <= names
    assert ("tools/objtool/objtool" in names) == (arch == "amd64")
    symvers, options = kernel_facts(made.bundle, layout_of(wanted), has_symvers=False)
    assert symvers is None
    assert compiler_of(options) == "gcc-14"
    given = dict(line.split("=", 1) for line in config.read_text().splitlines() if line.startswith("CONFIG_"))
    lost = {name for name in given if given[name] in "ym" and name not in options}
    assert not [name for name in lost if not name.startswith("CONFIG_CC_") and not name.endswith("COMPAT_VDSO")]
    if arch == "amd64":
        preparing.tree(wanted, recipe, ENGINE, source=source.tarball, config=config, target=tmp_path / "again")
        assert made_bundle(wanted, tmp_path / "again", tmp_path / "second").facts == made.facts


def test_what_stands_in_the_tree_of_a_small_one(preparing: Preparing, recipe: Recipe, tmp_path: Path) -> None:
    files = {
        "drivers/net/driver.c": "int unused;\n",
        "drivers/net/Kconfig": "",
        "include/linux/left.o": "",
        "localversion-next": "-next",
        "arch/x86/Makefile": "",
        "arch/x86/kernel/setup.c": "",
    }
    path = tarball(tmp_path / "source", {**SMALL, **files})
    preparing.tree(kernel("6.1.7-y"), recipe, ENGINE, source=path, **more(tmp_path))
    with tarfile.open(tmp_path / "tree") as tar:
        found = {member.name: member for member in tar}
        makefile = tar.extractfile("linux/Makefile")
        assert makefile is not None
        assert b"\nEXTRAVERSION = -y\n" in makefile.read()
    assert sorted(found) == [
        "linux/.config",
        "linux/Makefile",
        "linux/arch/x86/Makefile",
        "linux/arch/x86/include/asm/bug.h",
        "linux/include/config/kernel.release",
        "linux/include/linux/kernel.h",
        "linux/scripts/mod/modpost.c",
    ]


@pytest.mark.parametrize(
    ("release", "why"),
    [
        ("6.1.8-y", "the source is of Linux 6.1.7, not of 6.1.8-y"),
        ("6.1.70-y", "the source is of Linux 6.1.7, not of 6.1.70-y"),
        ("6.1-y", "the source is of Linux 6.1.7, not of 6.1-y"),
    ],
)
def test_a_release_of_another_source(
    preparing: Preparing, recipe: Recipe, tmp_path: Path, release: str, why: str
) -> None:
    with pytest.raises(HeadersUnusable, match=f"no headers for vanilla-test-amd64/{release}: {why}"):
        preparing.tree(
            kernel(release),
            recipe,
            ENGINE,
            source=small(tmp_path),
            config=tmp_path / "config",
            target=tmp_path / "tree",
        )


BROKEN = "VERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 7\nolddefconfig:\n\techo 'x.c:1:2: error: no x'; false\n"


@pytest.mark.parametrize(
    ("files", "config", "why"),
    [
        ({}, "CONFIG_MODULES=y\nCONFIG_MODVERSIONS=y\n", "CONFIG_MODVERSIONS is set, and there is no Module.symvers"),
        ({}, "CONFIG_X86_64=y\n", "the kernel takes no modules"),
        ({}, "", "the configuration is missing or empty"),
        (
            {"Makefile": SMALL["Makefile"].replace("true", "sed -i '/STRUCT/d;/DRIV/d' .config")},
            CONFIG + "CONFIG_STRUCTURES=y\nCONFIG_DERIVED=y\nCONFIG_SOME_DRIVER=m\n",
            "the configuration would lose STRUCTURES$",
        ),
        ({"Makefile": BROKEN}, CONFIG, r"make olddefconfig: x\.c:1:2: error: no x"),
        ({"Makefile": SMALL["Makefile"].replace("$(EXTRAVERSION)", "")}, CONFIG, "the kernel calls itself 6.1.7, not"),
    ],
)
def test_a_configuration_that_gives_no_headers(
    preparing: Preparing, recipe: Recipe, tmp_path: Path, files: dict[str, str], config: str, why: str
) -> None:
    (tmp_path / "config").write_text(config)
    path = tarball(tmp_path / "source", {**SMALL, **files})
    with pytest.raises(HeadersUnusable, match=why):
        preparing.tree(
            kernel("6.1.7-y"), recipe, ENGINE, source=path, config=tmp_path / "config", target=tmp_path / "tree"
        )


def test_with_its_symvers_a_kernel_may_have_modversions(preparing: Preparing, recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(CONFIG + "CONFIG_MODVERSIONS=y\n")
    wanted = kernel("6.1.7-y", symvers=True)
    preparing.tree(wanted, recipe, ENGINE, source=small(tmp_path), config=tmp_path / "config", target=tmp_path / "tree")
    (tmp_path / "symvers").write_text("0x00000001\tkfree\tvmlinux\tEXPORT_SYMBOL\t\n")
    packages = [(wanted.headers[0], tmp_path / "tree"), (wanted.headers[2], tmp_path / "symvers")]
    make_bundle(packages, tmp_path / "bundle", layout=layout_of(wanted), release=wanted.release)
    symvers, config = kernel_facts(tmp_path / "bundle", layout_of(wanted))
    assert symvers == {"kfree": 1}
    assert config["CONFIG_MODVERSIONS"] == "y"


def bomb(path: Path) -> Path:
    """256 MB of nothing."""
    command = f"head -c 256M /dev/zero >x; tar --zstd -cf {path} --transform 's,^,linux-6.1.7/include/,' x; rm x"
    subprocess.run(["bash", "-c", command], cwd=path.parent, check=True)
    return path


def test_a_tarball_that_is_a_bomb(preparing: Preparing, recipe: Recipe, tmp_path: Path) -> None:
    limited = replace(preparing, limits=replace(LIMITS, disk=64 << 20))
    with pytest.raises(HeadersUnusable, match="disk full: the limit is 64 MiB in /build"):
        limited.tree(
            kernel("6.1.7-y"),
            recipe,
            ENGINE,
            source=bomb(tmp_path / "source"),
            config=tmp_path / "config",
            target=tmp_path / "t",
        )


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"<html>404</html>", "the source is no archive with one top folder"),
        (b"", "the source is no archive with one top folder"),
        ("other", "the source is not a kernel's"),
        ("climbing", "no archive with one top folder"),
    ],
)
def test_a_tarball_that_is_none(
    preparing: Preparing, recipe: Recipe, tmp_path: Path, content: bytes | str, why: str
) -> None:
    path = tmp_path / "source"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        tarball(path, {"README": ""}, top="../../etc" if content == "climbing" else "module-1.0")
    with pytest.raises(HeadersUnusable, match=why):
        preparing.tree(
            kernel("6.1.7-y"), recipe, ENGINE, source=path, config=tmp_path / "config", target=tmp_path / "tree"
        )


def test_links_out_of_the_tree_lead_nowhere(preparing: Preparing, recipe: Recipe, tmp_path: Path) -> None:
    path = tarball(tmp_path / "source", SMALL, link("linux-6.1.7/include/etc", "/etc"), link("linux-6.1.7/usr", "/usr"))
    wanted = kernel("6.1.7-y")
    preparing.tree(wanted, recipe, ENGINE, source=path, config=tmp_path / "config", target=tmp_path / "tree")
    with pytest.raises(Exception, match=r"'linux/include/etc' is a link out of the tree or over it, to '/etc'"):
        made_bundle(wanted, tmp_path / "tree", tmp_path / "bundle")


@pytest.mark.parametrize(
    ("does", "limits", "error", "why"),
    [
        (
            "tail /dev/zero",
            replace(LIMITS, memory=128 << 20),
            HeadersUnusable,
            "killed for memory: the limit is 128 MiB",
        ),
        ("cat /dev/zero >x", replace(LIMITS, disk=64 << 20), HeadersUnusable, "disk full: the limit is 64 MiB"),
        ("sleep inf", replace(LIMITS, seconds=3), BuildImpossible, "took longer than 3 s, the limit of time"),
    ],
)
def test_limits(
    preparing: Preparing, recipe: Recipe, tmp_path: Path, does: str, limits: Limits, error: type[Exception], why: str
) -> None:
    path = tarball(tmp_path / "source", {**SMALL, "Makefile": SMALL["Makefile"].replace("true", does)})
    limited = replace(preparing, limits=limits)
    with pytest.raises(error, match=why) as caught:
        limited.tree(
            kernel("6.1.7-y"), recipe, ENGINE, source=path, config=tmp_path / "config", target=tmp_path / "tree"
        )
    assert type(caught.value) is error


def test_what_was_unusable_is_not_tried_for_every_module(preparing: Preparing, recipe: Recipe, tmp_path: Path) -> None:
    arguments = {"source": small(tmp_path), "config": tmp_path / "config", "target": tmp_path / "tree"}
    with pytest.raises(HeadersUnusable) as first:
        preparing.tree(kernel("6.2.0"), recipe, ENGINE, **arguments)
    with pytest.raises(HeadersUnusable) as second:
        preparing.tree(kernel("6.2.0"), recipe, replace(ENGINE, docker_host="unix:///nowhere"), **arguments)
    assert str(first.value) == str(second.value)


@pytest.fixture(scope="module")
def foreign_headers(kernels: dict[str, RealKernel], source: KernelSource) -> Iterator[Path]:
    """A folder with arm64 headers as a vendor packs them: its programs run on arm64, and their sources are there."""
    with in_memory() as folder:
        flat_tree(
            kernels["arm64"],
            folder / "tree/kernels/6.12.0-1.el9.aarch64",
            "6.12.0-1.el9.aarch64",
            host_tools="arm64",
            source=source,
        )
        yield folder


def rpm_kernel(toolchain: str = "gcc-14") -> Kernel:
    package = Package(
        name="kernel-devel", version="6.12.0-1.el9", arch="arm64", url="http://x", size=0, sha256="1" * 64
    )
    return Kernel(
        target=Target(distro="almalinux", series="9", arch="arm64"),
        release="6.12.0-1.el9.aarch64",
        version="6.12.0-1.el9",
        flavour="generic",
        toolchain=toolchain,
        repository="baseos",
        headers=(package,),
    )


PROGRAMS = ["scripts/basic/fixdep", "scripts/genksyms/genksyms", "scripts/mod/modpost"]


def headers_archive(folder: Path, target: Path) -> Path:
    own = DISTROS["almalinux"].layout(rpm_kernel()).own
    command = ["tar", "--zstd", "-cf", target, "--transform", f"s,^kernels/6.12.0-1.el9.aarch64,{own},", "kernels"]
    subprocess.run(command, cwd=folder / "tree", check=True)
    return target


def test_programs_are_made_again(preparing: Preparing, recipe: Recipe, foreign_headers: Path, tmp_path: Path) -> None:
    archive = headers_archive(foreign_headers, tmp_path / "headers.tar.zst")
    made = preparing.programs(
        rpm_kernel(),
        recipe,
        ENGINE,
        bundle=archive,
        must=PROGRAMS,
        may=["scripts/sign-file", "scripts/none"],
        scratch=tmp_path,
    )
    own = DISTROS["almalinux"].layout(rpm_kernel()).own
    assert {member.name for member in made} == {f"{own}/{name}" for name in (*PROGRAMS, "scripts/sign-file")}
    assert all(member.executable for member in made)
    (tmp_path / "modpost").write_bytes(next(member.data for member in made if member.name.endswith("modpost")))
    (tmp_path / "modpost").chmod(0o755)


def test_a_program_without_a_source_is_named(
    preparing: Preparing, recipe: Recipe, foreign_headers: Path, tmp_path: Path
) -> None:
    archive = headers_archive(foreign_headers, tmp_path / "headers.tar.zst")
    needed = [*PROGRAMS, "tools/objtool/objtool"]
    told = "tools/objtool/objtool cannot run here and cannot be made again: the headers have no tools/objtool/check.c"
    with pytest.raises(HeadersUnusable, match=re.escape(told)):
        preparing.programs(rpm_kernel(), recipe, ENGINE, bundle=archive, must=needed, may=[], scratch=tmp_path)


def test_a_container_that_somebody_waits_for_is_not_swept(preparing: Preparing, recipe: Recipe, tmp_path: Path) -> None:
    """The farm sweeps every minute what no worker owns."""
    path = tarball(tmp_path / "source", {**SMALL, "Makefile": SMALL["Makefile"].replace("true", "sleep 3")})
    client = ENGINE.client()

    def running() -> bool:
        return bool(client.containers(filters={"label": f"{LABEL}={ENGINE.farm}"}))

    with ThreadPoolExecutor() as pool:
        arguments = {"source": path, "config": tmp_path / "config", "target": tmp_path / "tree"}
        made = pool.submit(preparing.tree, kernel("6.1.7-y"), recipe, ENGINE, **arguments)
        until(lambda: running() or made.done())
        assert ENGINE.sweep() == 0
        made.result()
    client.close()
