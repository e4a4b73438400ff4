import pytest
from kmodci.kernelconfig import compiler_of, parse_config


def test_options() -> None:
    assert parse_config('# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C="x = y"\n') == {
        "CONFIG_B": "y",
        "CONFIG_C": "x = y",
    }


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
