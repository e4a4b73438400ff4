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
