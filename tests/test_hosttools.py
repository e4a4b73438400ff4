import lzma
from pathlib import Path

import pytest
from kmodci.hosttools import HostTools, Program, program

DATA = Path(__file__).parent / "data" / "hosttools"
BOOKWORM, TRIXIE = (2, 36), (2, 41)


def content(name: str) -> bytes:
    return lzma.decompress((DATA / f"{name}.xz").read_bytes())


def read(name: str, path: str) -> Program:
    found = program(path, content(name))
    assert found
    return found


@pytest.fixture
def foreign() -> Program:
    return read("fixdep.arm64", "scripts/basic/fixdep")


@pytest.fixture
def newer() -> Program:
    return read("modpost.amd64", "scripts/mod/modpost")


def test_what_programs_need(foreign: Program, newer: Program) -> None:
    assert foreign == Program(
        path="scripts/basic/fixdep", machine="EM_AARCH64", loader="/lib/ld-linux-aarch64.so.1", glibc=(2, 34)
    )
    assert (newer.machine, newer.loader, newer.glibc) == ("EM_X86_64", "/lib64/ld-linux-x86-64.so.2", (2, 38))


def test_what_runs_where(foreign: Program, newer: Program) -> None:
    native = read("fixdep.amd64", "scripts/basic/fixdep")
    assert [native.runs_with(glibc) for glibc in ((2, 31), BOOKWORM, None)] == [False, True, True]
    assert [newer.runs_with(glibc) for glibc in (BOOKWORM, (2, 38), TRIXIE)] == [False, True, True]
    assert not foreign.runs_with(None)
    assert [foreign.runs_with(glibc, "arm64") for glibc in ((2, 31), BOOKWORM, None)] == [False, True, True]
    assert not native.runs_with(None, "arm64")
    assert Program(path="scripts/x", machine="EM_X86_64").runs_with((2, 17))
    assert not Program(path="scripts/x", machine="EM_X86_64", loader="/lib/ld-musl-x86_64.so.1").runs_with(None)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("scripts/checkpatch.pl", b"#!/usr/bin/env perl\n"),
        ("scripts/empty", b""),
        ("arch/x86/boot/tools/build", content("fixdep.amd64")),
        ("scripts/mod/empty.o", content("fixdep.amd64")[:16] + b"\x01" + content("fixdep.amd64")[17:]),
    ],
)
def test_what_is_no_program(path: str, data: bytes) -> None:
    assert program(path, data) is None


def test_a_damaged_one_does_not_run() -> None:
    whole = content("modpost.amd64")
    for end in range(4, len(whole), 1499):
        found = program("scripts/mod/modpost", whole[:end])
        assert found is None or found.machine in ("", "EM_X86_64")
    assert program("scripts/mod/modpost", whole[:40]) == Program(path="scripts/mod/modpost", machine="")
    # a section of versions that says it has four thousand million of them, each its own next
    loop = whole.replace(b"\x01\x00\x03\x00", b"\x01\x00\xff\xff")
    assert program("scripts/mod/modpost", loop)


def tools(*paths: str, machine: str = "EM_AARCH64") -> HostTools:
    return HostTools(programs=tuple(Program(path=path, machine=machine, glibc=(2, 34)) for path in paths))


ALL = (
    "scripts/basic/fixdep",
    "scripts/gendwarfksyms/gendwarfksyms",
    "scripts/genksyms/genksyms",
    "scripts/kconfig/conf",
    "scripts/mod/modpost",
    "scripts/recordmcount",
    "scripts/sign-file",
    "tools/bpf/resolve_btfids/resolve_btfids",
    "tools/objtool/objtool",
)
ALWAYS = ["scripts/basic/fixdep", "scripts/mod/modpost"]


@pytest.mark.parametrize(
    ("option", "more"),
    [
        ("CONFIG_SMP", []),
        ("CONFIG_MODVERSIONS", ["scripts/genksyms/genksyms"]),
        ("CONFIG_OBJTOOL", ["tools/objtool/objtool"]),
        ("CONFIG_STACK_VALIDATION", ["tools/objtool/objtool"]),
        ("CONFIG_FTRACE_MCOUNT_USE_RECORDMCOUNT", ["scripts/recordmcount"]),
        # they have no BTF without the kernel's own
        ("CONFIG_DEBUG_INFO_BTF_MODULES", []),
    ],
)
def test_what_a_module_takes(option: str, more: list[str]) -> None:
    must, may = tools(*ALL).to_make_again(TRIXIE, {option: "y"})
    assert must == sorted([*ALWAYS, *more])
    assert may == ["scripts/sign-file"]
    assert tools(*ALL, machine="EM_X86_64").to_make_again(TRIXIE, {option: "y"}) == ([], [])
    assert tools(*ALL).to_make_again(TRIXIE, {option: "y"}, "arm64") == ([], []), "a vendor's own machine"


def test_what_a_module_takes_by_more_than_one_option() -> None:
    config = {"CONFIG_MODVERSIONS": "y", "CONFIG_GENDWARFKSYMS": "y", "CONFIG_DEBUG_INFO_BTF_MODULES": "y"}
    must, _ = tools(*ALL).to_make_again(TRIXIE, config)
    assert must == ["scripts/basic/fixdep", "scripts/gendwarfksyms/gendwarfksyms", "scripts/mod/modpost"]


def test_written_down_and_read_again(foreign: Program, newer: Program) -> None:
    found = HostTools(programs=(foreign, newer))
    assert HostTools.from_json(found.to_json()) == found
    assert HostTools().to_json() == ""
    assert HostTools.from_json("").run_with((2, 17))
