"""build-module in the farm's own sandbox: a real compiler, a real kernel's headers, a module of our own."""

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from kmodci.distros import layout_of
from kmodci.model import Kernel
from kmodci.sandbox import Inputs, Limits, build_environment, host_config
from support.containers import engine, header_bundle, toolchain_image

pytestmark = [pytest.mark.docker, pytest.mark.network]

SOURCE = Path(__file__).parent.parent / "data" / "modules" / "source"
LIMITS = Limits(memory=1 << 30, disk=512 << 20, processes=512, seconds=120, output=1 << 20)
DKMS = (
    'PACKAGE_NAME="hello"\nPACKAGE_VERSION="1.0"\n'
    'BUILT_MODULE_NAME[0]="hello-world"\nDEST_MODULE_LOCATION[0]="/extra"\n'
    'BUILT_MODULE_NAME[1]="greet"\nDEST_MODULE_LOCATION[1]="/extra"\n'
)
_SCRIPT = "/kmodci/build-module >&2; code=$?; tar -C /build/out -cf - .; exit $code"


@dataclass(frozen=True)
class Built:
    status: int
    log: str
    files: dict[str, bytes]

    @property
    def last(self) -> str:
        return self.log.splitlines()[-1]

    @property
    def facts(self) -> dict[str, object]:
        return dict(json.loads(self.files["facts.json"]))


Build = Callable[..., Built]


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Kernel, Path]]:
    known: dict[str, tuple[Kernel, Path]] = {}

    def get(arch: str) -> tuple[Kernel, Path]:
        if arch not in known:
            folder = tmp_path_factory.mktemp("headers")
            known[arch] = (header_bundle(arch, folder), folder / "headers.tar.zst")
        return known[arch]

    return get


@pytest.fixture
def build(bundle: Path, tmp_path: Path, headers: Callable[[str], tuple[Kernel, Path]]) -> Build:
    def run(
        files: dict[str, str],
        *,
        arch: str = "amd64",
        limits: Limits = LIMITS,
        recipe: dict[str, str] | None = None,
        toolchain: tuple[str, str] = ("gcc-12", "bookworm"),
        options: str = "",
    ) -> Built:
        """options: more lines of the kernel's .config."""
        kernel, archive = headers(arch)
        inputs = tmp_path / "in"
        inputs.mkdir(mode=0o755, exist_ok=True)
        shutil.copy(archive, inputs / "headers.tar.zst")
        if options:
            with_options(inputs / "headers.tar.zst", layout_of(kernel).own, options)
        source = tmp_path / "source"
        shutil.copytree(SOURCE, source, dirs_exist_ok=True)
        for name, text in files.items():
            (source / name).write_text(text)
        subprocess.run(["tar", "--zstd", "-C", source, "-cf", inputs / "source.tar.zst", "."], check=True)
        output, log = io.BytesIO(), io.BytesIO()
        status = engine().run(
            image=toolchain_image(*toolchain),
            command=["/bin/sh", "-c", _SCRIPT],
            environment=build_environment(
                release=kernel.release,
                layout=layout_of(kernel),
                arch=arch,
                toolchain=toolchain[0],
                module="hello",
                version="1.0",
                recipe=recipe or {},
                limits=limits,
            ),
            inputs=Inputs(bundle=bundle, files=inputs),
            host_config=host_config(limits),
            on_output=output.write,
            on_error=log.write,
            seconds=limits.seconds,
        )
        output.seek(0)
        with tarfile.open(fileobj=output) as tar:
            made = {Path(m.name).name: tar.extractfile(m).read() for m in tar if m.isfile()}
        return Built(status, log.getvalue().decode(), made)

    return run


def with_options(archive: Path, own: str, options: str) -> None:
    """Adds to the configuration of a header bundle's kernel, which make reads from another file than people do."""
    folder = archive.parent.parent / "headers"
    folder.mkdir()
    subprocess.run(["tar", "--zstd", "-C", folder, "-xf", archive], check=True)
    for name in (".config", "include/config/auto.conf"):
        with (folder / own / name).open("a") as file:
            file.write(options)
    subprocess.run(["tar", "--zstd", "-C", folder, "-cf", archive, "."], check=True)
    shutil.rmtree(folder)


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_module_is_built_twice_the_same(build: Build, arch: str) -> None:
    first = build({"dkms.conf": DKMS}, arch=arch)
    assert first.status == 0, first.log
    assert first.facts["artifacts"] == ["hello-world.ko", "greet.ko"]
    assert "gcc-12" in str(first.facts["compiler"])
    assert first.facts["dkms"] == {"package_name": "hello", "package_version": "1.0"}
    machine = first.files["greet.ko"][18:20]  # e_machine, elf(5)
    assert machine == {"amd64": b"\x3e\x00", "arm64": b"\xb7\x00"}[arch]
    assert b".debug_info" not in first.files["greet.ko"]
    second = build({"dkms.conf": DKMS}, arch=arch)
    assert {name: data for name, data in second.files.items() if name.endswith(".ko")} == {
        name: data for name, data in first.files.items() if name.endswith(".ko")
    }


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_a_newer_compiler_answers_to_the_name_of_the_kernels_own(build: Build, arch: str) -> None:
    # Debian's headers say `CC = $(CROSS_COMPILE)gcc-12`, whatever the environment says
    made = build({"dkms.conf": DKMS}, arch=arch, toolchain=("gcc-14", "trixie"))
    assert made.status == 0, made.log
    assert "gcc-14" in str(made.facts["compiler"])
    assert b"GCC: (Debian 14." in made.files["greet.ko"]


PLUGINS = "CONFIG_GCC_PLUGINS=y\nCONFIG_GCC_PLUGIN_STRUCTLEAK=y\n"


@pytest.mark.parametrize("recipe", [{}, {"KMODCI_BUILD": 'make -C "$KERNEL_DIR" M="$PWD" modules'}])
def test_the_plugins_of_the_kernels_own_compiler_are_left_out(build: Build, recipe: dict[str, str]) -> None:
    made = build({"dkms.conf": DKMS}, options=PLUGINS, recipe=recipe)
    assert made.status == 0, made.log
    assert made.log.startswith("without the plugins of the kernel's own compiler (CONFIG_GCC_PLUGINS)\n")


def test_a_kernel_whose_structures_a_plugin_has_shuffled_is_left_alone(build: Build) -> None:
    made = build({"dkms.conf": DKMS}, options=f"{PLUGINS}CONFIG_GCC_PLUGIN_RANDSTRUCT=y\n")
    assert made.status == 3
    assert made.last.startswith("excluded: only its own compiler knows the order of this kernel's structures (CONFIG_")
    assert made.facts["artifacts"] == []


def test_a_command_instead_of_dkms(build: Build) -> None:
    command = 'mkdir out\nmake -j"$JOBS" -C "$KERNEL_DIR" M="$PWD" modules\nmv greet.ko out/'
    made = build({}, recipe={"KMODCI_BUILD": command, "KMODCI_ARTIFACTS": "out/*.ko\nhello-*.ko\n"})
    assert made.status == 0, made.log
    assert made.facts["artifacts"] == ["greet.ko", "hello-world.ko"]
    assert made.facts["make"]["user"] > 0


def test_a_module_that_does_not_compile(build: Build) -> None:
    made = build({"dkms.conf": DKMS, "greet.c": "int greet(void)\n{\n\treturn nothing;\n}\n"})
    assert made.status == 1
    assert made.last.startswith("error: ")
    assert made.last.endswith("greet.c:3:16: error: 'nothing' undeclared (first use in this function)")
    assert made.facts["artifacts"] == []
    assert f"error: {made.facts['error']}" == made.last


def test_a_makefile_that_hides_that_it_failed(build: Build) -> None:
    broken = {"greet.c": "int greet(void)\n{\n\treturn nothing;\n}\n"}
    made = build(broken, recipe={"KMODCI_BUILD": 'make -C "$KERNEL_DIR" M="$PWD" modules || true'})
    assert made.status == 1
    assert made.last.endswith("greet.c:3:16: error: 'nothing' undeclared (first use in this function)")


def test_a_kernel_that_dkms_conf_excludes(build: Build) -> None:
    made = build({"dkms.conf": DKMS + "BUILD_EXCLUSIVE_KERNEL_MAX=5.99\n"})
    assert made.status == 3
    assert made.last.startswith("excluded: BUILD_EXCLUSIVE_KERNEL_MAX is 5.99, and the kernel is 6.")
    assert "BUILD_EXCLUSIVE" in str(made.facts["excluded"])


@pytest.mark.parametrize(
    ("files", "recipe", "why"),
    [
        ({"dkms.conf": DKMS + "MAKE=true\n"}, {}, "the build made no hello-world.ko"),
        ({}, {"KMODCI_BUILD": "true"}, "the build made nothing that matches **/*.ko"),
        ({}, {"KMODCI_BUILD": "true", "KMODCI_ARTIFACTS": "x.ko"}, "the build made nothing that matches x.ko"),
    ],
)
def test_a_module_that_writes_nothing(build: Build, files: dict[str, str], recipe: dict[str, str], why: str) -> None:
    made = build(files, recipe=recipe)
    assert (made.status, made.last) == (4, f"error: {why}")


def test_a_source_that_does_not_say_how(build: Build) -> None:
    made = build({})
    assert made.status == 5
    assert "no dkms.conf" in made.last


def test_a_build_that_wants_too_much_memory(build: Build) -> None:
    small = Limits(memory=192 << 20, disk=512 << 20, processes=512, seconds=120, output=1 << 20)
    made = build({}, limits=small, recipe={"KMODCI_BUILD": "tail /dev/zero"})
    assert made.status == 1, made.log
    assert made.last == "error: killed for memory: the limit is 192 MiB"
    assert made.facts["oom"] is True


def test_scripts_and_patches_of_a_dkms_conf(build: Build) -> None:
    files = {
        "dkms.conf": DKMS + 'PRE_BUILD="before.sh $kernelver"\nPOST_BUILD="after.sh"\n',
        "before.sh": '#!/bin/sh\necho "before $1 in $PWD"\n',
        "after.sh": "#!/bin/sh\necho not reached\n",
    }
    files["dkms.conf"] += "chmod() { :; }\n"
    made = build(files, recipe={})
    assert made.status == 0, made.log
    assert "warning: PRE_BUILD before.sh is not executable, so it is not run" in made.log


def test_the_sandbox(build: Build) -> None:
    command = """
        id -u; touch /probe 2>&1 || true; touch /in/probe 2>&1 || true; touch /kmodci/probe 2>&1 || true
        grep -c : /proc/net/dev; grep CapEff /proc/self/status; cat /proc/self/oom_score_adj; env; false"""
    made = build({}, recipe={"KMODCI_BUILD": command})
    assert made.log.count("Read-only file system") == 3
    assert "65534\n" in made.log
    assert "CapEff:\t0000000000000000\n1000\n" in made.log
    assert "PASS" not in made.log
