import gzip
import hashlib
import lzma
import subprocess
from pathlib import Path

import pytest
import zstandard
from kmodci.errors import VerifyError
from kmodci.headers import parse_symvers
from kmodci.kernelconfig import parse_config
from kmodci.verify import ModuleFacts, compress, verify

DATA = Path(__file__).parent / "data" / "modules"
RELEASES = ["6.1.0-50-amd64", "6.12.117+deb13-amd64", "6.12.117+deb13-arm64", "7.2.13+deb14-amd64"]


def files(release: str) -> dict[str, bytes]:
    return {name: (DATA / release / name).read_bytes() for name in ("greet.ko", "hello-world.ko")}


def judge(found: dict[str, bytes], release: str, **other) -> tuple[ModuleFacts, ...]:
    kernel = {
        "release": release,
        "arch": release.rpartition("-")[2],
        "symvers": parse_symvers((DATA / release / "Module.symvers").read_text()),
        "config": parse_config((DATA / release / "config").read_text()),
    }
    return verify(found, **(kernel | other))


def problems(found: dict[str, bytes], release: str, **other) -> tuple[str, ...]:
    with pytest.raises(VerifyError) as error:
        judge(found, release, **other)
    return error.value.problems


@pytest.mark.parametrize("release", RELEASES)
def test_real_modules_pass(release: str) -> None:
    greet, hello = judge(files(release), release)
    assert (greet.file, greet.name, greet.depends) == ("greet.ko", "greet", ())
    assert (hello.file, hello.name, hello.depends) == ("hello-world.ko", "hello_world", ("greet",))
    assert hello.vermagic.startswith(f"{release} ")
    assert hello.sha256 == hashlib.sha256(files(release)["hello-world.ko"]).hexdigest()
    assert hello.size == len(files(release)["hello-world.ko"])


@pytest.mark.parametrize(("release", "checked"), [("6.1.0-50-amd64", True), ("7.2.13+deb14-amd64", False)])
def test_crcs_are_checked_where_the_kernel_has_them(release: str, checked: bool) -> None:
    assert all(bool(facts.checked) is checked for facts in judge(files(release), release))


def test_extended_crcs() -> None:
    release = "6.12.117+deb13-amd64"
    found = {"greet.ko": (DATA / release / "greet.extended.ko").read_bytes()}
    assert judge(found, release)[0].checked == 6
    (problem,) = problems(
        found, release, symvers=parse_symvers((DATA / release / "Module.symvers").read_text()) | {"kfree": 1}
    )
    assert problem == "greet.ko: built with another CRC of kfree"


def test_another_modules_export_is_missing() -> None:
    release = "6.12.117+deb13-amd64"
    assert problems({"hello-world.ko": files(release)["hello-world.ko"]}, release) == (
        "hello-world.ko: the kernel does not export greet",
    )


def test_a_module_for_another_kernel() -> None:
    found = problems(files("6.1.0-50-amd64"), "6.12.117+deb13-amd64")
    assert "greet.ko: built for the kernel '6.1.0-50-amd64', not 6.12.117+deb13-amd64" in found
    assert "greet.ko: built with another CRC of module_layout" in found


def test_a_module_for_another_architecture() -> None:
    found = problems(files("6.12.117+deb13-arm64"), "6.12.117+deb13-arm64", arch="amd64")
    assert found == tuple(f"{name}: not a module for amd64: EM_AARCH64" for name in ("greet.ko", "hello-world.ko"))


def test_a_symbol_without_crc() -> None:
    release = "6.1.0-50-amd64"
    layout = parse_symvers((DATA / release / "Module.symvers").read_text())
    ko = files(release)["greet.ko"].replace(b"module_layout\0", b"module_lay0ut\0")
    assert problems({"greet.ko": ko}, release, symvers=layout) == ("greet.ko: no CRC for module_layout",)


def test_not_stripped() -> None:
    ko = lzma.decompress((DATA / "6.1.0-50-amd64" / "greet.unstripped.ko.xz").read_bytes())
    (problem,) = problems({"greet.ko": ko}, "6.1.0-50-amd64")
    assert problem.startswith("greet.ko: not stripped of debug information")


def test_all_problems_of_all_files_at_once() -> None:
    release = "7.2.13+deb14-amd64"
    found = problems({"../x.ko": b"", "empty.ko": b"", "other.ko": files(release)["greet.ko"]}, release)
    assert found == (
        "'../x.ko' is not a module's file name",
        "empty.ko: not an ELF file: 0 bytes, beginning with b''",
        "other.ko: calls itself 'greet'",
    )


def test_an_object_file_is_no_module(tmp_path: Path) -> None:
    ko = files("7.2.13+deb14-amd64")["greet.ko"].replace(b".modinfo\0", b".modinf0\0")
    found = problems({"greet.ko": ko}, "7.2.13+deb14-amd64")
    assert "greet.ko: no section .modinfo" in found


def test_nothing_built() -> None:
    assert problems({}, "6.1.0-50-amd64") == ("the build wrote no module",)


def test_a_long_list_is_cut() -> None:
    release = "6.1.0-50-amd64"
    (problem, _) = problems(files(release), release, symvers={"module_layout": 0xBCE1A965, "greet": 0})
    assert problem.startswith("greet.ko: the kernel does not export __fentry__, ")


@pytest.mark.parametrize(
    ("config", "suffix", "unpack"),
    [
        ({"CONFIG_MODULE_COMPRESS_NONE": "y"}, "", bytes),
        ({}, "", bytes),
        ({"CONFIG_MODULE_COMPRESS": "y", "CONFIG_MODULE_COMPRESS_XZ": "y"}, ".xz", lzma.decompress),
        ({"CONFIG_MODULE_COMPRESS_ZSTD": "y"}, ".zst", zstandard.decompress),
        ({"CONFIG_MODULE_COMPRESS_GZIP": "y"}, ".gz", gzip.decompress),
    ],
)
def test_compressed_as_the_distributions_own(config: dict[str, str], suffix: str, unpack) -> None:
    ko = files("6.1.0-50-amd64")["greet.ko"]
    packed, found = compress(ko, config)
    assert (found, unpack(packed)) == (suffix, ko)
    assert compress(ko, config) == (packed, suffix)


def test_xz_is_what_the_kernel_can_unpack(tmp_path: Path) -> None:
    (tmp_path / "x.xz").write_bytes(compress(b"module" * 99, {"CONFIG_MODULE_COMPRESS_XZ": "y"})[0])
    told = subprocess.run(["xz", "--list", "-vv", tmp_path / "x.xz"], capture_output=True, text=True, check=True).stdout
    assert "CRC32" in told
    assert "--lzma2=dict=1MiB" in told


def test_symbols_are_not_judged_where_nobody_said_what_the_kernel_exports() -> None:
    release = "7.2.13+deb14-amd64"
    alone = {"hello-world.ko": files(release)["hello-world.ko"]}
    (facts,) = judge(alone, release, symvers=None)
    assert facts.undefined > 0
    assert facts.checked == 0
    (problem,) = problems(alone, release, symvers={})
    assert problem.startswith("hello-world.ko: the kernel does not export ")


def test_a_kernel_that_wants_crcs_which_nobody_said() -> None:
    release = "6.12.117+deb13-amd64"
    found = problems(files(release), release, symvers=None)
    assert len(found) == 2
    assert all("wants the CRCs of its symbols" in problem for problem in found)
