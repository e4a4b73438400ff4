import resource
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.elf import KernelModule, parse
from kmodci.errors import VerifyError

DATA = Path(__file__).parent / "data" / "modules"
GREET = (DATA / "6.12.117+deb13-amd64" / "greet.ko").read_bytes()


def test_what_a_module_says_of_itself() -> None:
    module = parse((DATA / "6.1.0-50-amd64" / "hello-world.ko").read_bytes())
    assert (module.machine, module.relocatable) == ("EM_X86_64", True)
    assert module.info("vermagic") == "6.1.0-50-amd64 SMP preempt mod_unload modversions "
    assert module.info("depends") == "greet"
    assert module.info("version") == "1.0"
    assert module.info("alias") == ""
    assert module.undefined == {"greet", "_printk", "__fentry__"}
    assert module.crcs["module_layout"] == 0xBCE1A965


@pytest.mark.parametrize(
    "release", ["6.1.0-50-amd64", "6.12.117+deb13-amd64", "6.12.117+deb13-arm64", "7.2.13+deb14-amd64"]
)
def test_exports(release: str) -> None:
    assert parse((DATA / release / "greet.ko").read_bytes()).exports == {"greet"}


def test_both_forms_of_crcs_say_the_same() -> None:
    extended = parse((DATA / "6.12.117+deb13-amd64" / "greet.extended.ko").read_bytes())
    assert "__versions" not in extended.sections
    assert extended.crcs == parse(GREET).crcs
    assert extended.crcs["kfree"] == 0x037A0CBA


def test_no_crcs_without_modversions() -> None:
    assert parse((DATA / "7.2.13+deb14-amd64" / "greet.ko").read_bytes()).crcs == {}


@pytest.mark.parametrize("ko", [b"", b"#!/bin/sh\n", b"\x7fELF", GREET[:64], GREET[:-200], GREET[: len(GREET) // 2]])
def test_what_is_no_module(ko: bytes) -> None:
    with pytest.raises(VerifyError, match="ELF file"):
        parse(ko)


@given(st.integers(0, len(GREET) - 1), st.binary(min_size=1, max_size=40))
def test_damage_is_told_as_such(at: int, junk: bytes) -> None:
    """Anywhere in the file, anything: it is read, or refused as our own error."""
    with suppress(VerifyError):
        assert isinstance(parse(GREET[:at] + junk + GREET[at + len(junk) :]), KernelModule)


@given(st.integers(0, 63), st.integers(0, 255))
def test_damage_in_the_header(at: int, byte: int) -> None:
    with suppress(VerifyError):
        assert isinstance(parse(GREET[:at] + bytes([byte]) + GREET[at + 1 :]), KernelModule)


@given(st.integers(0, 20 * 64 - 1), st.binary(min_size=1, max_size=8))
def test_damage_in_the_section_table(at: int, junk: bytes) -> None:
    start = int.from_bytes(GREET[40:48], "little") + at
    with suppress(VerifyError):
        assert isinstance(parse(GREET[:start] + junk + GREET[start + len(junk) :]), KernelModule)


# Where things are in an ELF file, see elf(5).
_TABLE = int.from_bytes(GREET[40:48], "little")
_COUNT, _NAMES = struct.unpack_from("<HH", GREET, 60)


def changed(name: bytes, **fields: int) -> bytes:
    """The module with other numbers in the line of a section."""
    places = {"kind": (4, "<I"), "flags": (8, "<Q"), "offset": (24, "<Q"), "size": (32, "<Q")}
    [strings] = struct.unpack_from("<Q", GREET, _TABLE + 64 * _NAMES + 24)
    made = bytearray(GREET)
    for line in range(_TABLE, _TABLE + 64 * _COUNT, 64):
        [at] = struct.unpack_from("<I", GREET, line)
        if GREET.startswith(name + b"\0", strings + at):
            for each, value in fields.items():
                place, form = places[each]
                struct.pack_into(form, made, line + place, value)
            return bytes(made)
    raise AssertionError(name)


def packed(size: int) -> bytes:
    """As SHF_COMPRESSED has it: ELFCOMPRESS_ZLIB, how much it is, and that."""
    return struct.pack("<IIQQ", 1, 0, size, 1) + zlib.compress(bytes(size), 9)


def table(lines: bytes, count: int, *, before: bytes = b"", names: int = 0) -> bytes:
    """The module with another section table."""
    made = bytearray(GREET + before)
    struct.pack_into("<Q", made, 40, len(made))
    struct.pack_into("<HH", made, 60, count, names)
    return bytes(made + lines)


def section(name: int, kind: int, offset: int, size: int, link: int = 0, *, entry: int = 0) -> bytes:
    return struct.pack("<IIQQQQIIQQ", name, kind, 0, 0, offset, size, link, 0, 0, entry)


_LONG = b"a" * (1 << 20) + b"\0" * 4096
_END = len(GREET)
_TEXT = section(1, 3, _END, len(_LONG))
_SYMBOLS = b"".join(struct.pack("<IBBHQQ", 1 + n, 0x10, 0, 0, 0, 0) for n in range(100_000))
_BOMBS = {
    "a section that is said to be zeros": changed(b".modinfo", kind=8, size=8 << 30),
    "a section that is packed": changed(b".modinfo", flags=0x802, offset=_END, size=len(packed(1 << 20)))
    + packed(1 << 20),
    "sections that are counted elsewhere": table(section(0, 0, 0, 1 << 40) + GREET[_TABLE : _TABLE + 64] * 1000, 0),
    "names of a megabyte": table(_TEXT * 60_000, 60_000, before=_LONG),
    "symbols with names of a megabyte": table(
        section(len(_LONG) - 1, 3, _END, len(_LONG))
        + section(len(_LONG) - 1, 2, _END + len(_LONG), len(_SYMBOLS), 0, entry=24),
        2,
        before=_LONG + _SYMBOLS,
    ),
    "more symbols than a module has": table(
        section(len(_LONG) - 1, 3, _END, len(_LONG)) + section(len(_LONG) - 1, 2, 0, 24 << 40, 0, entry=24),
        2,
        before=_LONG,
    ),
    "symbols of no size": changed(b".symtab", size=1),
    "two that say which kernel it is for": table(
        section(1, 3, _END, 64) + section(1, 1, _END, 64) * 2, 3, before=b"\0.modinfo\0".ljust(64, b"\0")
    ),
}


@pytest.mark.parametrize("what", _BOMBS)
def test_what_is_made_to_take_memory_or_time_takes_none(what: str, tmp_path: Path) -> None:
    """In a process of its own, that may have 300 MiB and five seconds of CPU."""
    (tmp_path / "bomb.ko").write_bytes(_BOMBS[what])
    code = (
        "import sys; from pathlib import Path; from kmodci.elf import parse; from kmodci.errors import VerifyError\n"
        "try: parse(Path(sys.argv[1]).read_bytes())\n"
        "except VerifyError as error: print(error)"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))
        resource.setrlimit(resource.RLIMIT_CPU, (5, 5))

    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "bomb.ko"],
        preexec_fn=limit,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-500:]
    assert "MemoryError" not in ended.stdout
    assert "ELF file" in ended.stdout or "symbols" in ended.stdout, ended.stdout


def test_what_is_said_many_times_is_read_once_through() -> None:
    made = changed(b".modinfo", offset=_END, size=3 << 20) + b"a=\0" * (1 << 20)
    assert len(parse(made).modinfo["a"]) == 1 << 20
