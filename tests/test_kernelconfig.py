import bz2
import gzip
import lzma
from base64 import b64encode

import pytest
import zstandard
from kmodci.errors import IndexDamaged
from kmodci.kernelconfig import arch_of, compiler_of, parse_config, plain_config, version_of

CONFIG = b"""#
# Automatically generated file; DO NOT EDIT.
# Linux/x86 6.12.117 Kernel Configuration
#
CONFIG_X86_64=y
# CONFIG_MODVERSIONS is not set
CONFIG_CC_VERSION_TEXT="gcc-14 (Debian 14.2.0-19) 14.2.0"

CONFIG_HZ=250
"""


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress, bz2.compress, zstandard.compress])
def test_plain_or_compressed_or_in_base64(pack) -> None:
    assert plain_config(pack(CONFIG), "x") == CONFIG
    assert plain_config(b64encode(pack(CONFIG)), "x") == CONFIG
    assert plain_config(b64encode(pack(CONFIG)) + b"\n", "x") == CONFIG


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>\n<title>404</title>\n</html>\n",
        b"obj-m := hello.o\n",
        CONFIG + b"rm -rf /\n",
        CONFIG + b"CONFIG_X=y\0\nCONFIG\n",
        gzip.compress(CONFIG)[:-20],
        b64encode(b"#!/bin/sh\n"),
    ],
)
def test_what_is_none(content: bytes) -> None:
    with pytest.raises(IndexDamaged, match=r"(?s)^x: .*configuration"):
        plain_config(content, "x")


@pytest.mark.parametrize("pack", [bytes, b64encode])
def test_a_bomb(pack) -> None:
    with pytest.raises(IndexDamaged, match="unpacks to more than 4 MiB"):
        plain_config(pack(gzip.compress(CONFIG + b"#\n" * (4 << 20))), "x")


def test_options() -> None:
    assert parse_config('# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="x = y"\n') == {
        "CONFIG_B": "y",
        "CONFIG_C": "x = y",
    }


@pytest.mark.parametrize(
    ("options", "arch"),
    [
        ({"CONFIG_X86_64": "y", "CONFIG_64BIT": "y"}, "amd64"),
        ({"CONFIG_ARM64": "y"}, "arm64"),
        ({"CONFIG_X86": "y", "CONFIG_X86_32": "y"}, ""),
        ({"CONFIG_X86_64": "m"}, ""),
    ],
)
def test_its_architecture(options: dict[str, str], arch: str) -> None:
    assert arch_of(options) == arch


@pytest.mark.parametrize(
    ("text", "version"),
    [
        (CONFIG.decode(), "6.12.117"),
        ("# Linux/arm64 5.15.43-flatcar Kernel Configuration\n", "5.15.43"),
        ("CONFIG_X=y\n# Linux/x86 banana Kernel Configuration\n", ""),
        ("", ""),
    ],
)
def test_the_version_that_it_was_made_with(text: str, version: str) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize(
    ("text", "number", "compiler"),
    [
        ("x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0", "140200", "gcc-14"),
        ("gcc-10 (Debian 10.2.1-6) 10.2.1 20210110", "", "gcc-10"),
        ("x86_64-linux-gnu-gcc-13 (Ubuntu 13.3.0-6ubuntu2~24.04) 13.3.0", "130300", "gcc-13"),
        ("gcc (GCC) 11.5.0 20240719 (Red Hat 11.5.0-5)", "110500", "gcc-11"),
        ("gcc (GCC) 8.5.0 20210514 (Red Hat 8.5.0-26)", "", "gcc-8"),
        ("gcc (SUSE Linux) 7.5.0", "70500", "gcc-7"),
        ("gcc-13 (GCC) 13.2.1 20231011 (Red Hat 13.2.1-4)", "", "gcc-13"),
        ("clang version 19.1.0", "0", "clang-19"),
        ("", "80500", "gcc-8"),
        ("", "", ""),
        ("gcc (who knows)", "<html>", ""),
    ],
)
def test_the_compiler_that_a_configuration_names(text: str, number: str, compiler: str) -> None:
    assert compiler_of({"CONFIG_CC_VERSION_TEXT": text, "CONFIG_GCC_VERSION": number}) == compiler
