"""What real compilers said of real modules; see tests/data/causes/ORIGIN."""

import csv
import functools
from collections import defaultdict
from pathlib import Path

import pytest
from kmodci.causes import group_name

DATA = Path(__file__).parent / "data" / "causes"


def recorded() -> list[dict[str, str]]:
    with (DATA / "first-errors.tsv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


@functools.cache
def groups() -> dict[str, list[str]]:
    """Each group's name, with its `module/toolchain`s."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for each in recorded():
        found[group_name(each["error"], each["release"])].append(f"{each['module']}/{each['toolchain']}")
    return dict(found)


@pytest.mark.parametrize(
    ("mistake", "name"),
    [
        ("toofew", "too few arguments to function `take`"),
        ("toomany", "too many arguments to function `take`"),
        ("implicit", "implicit declaration of function `no_such_function`"),
        ("nomember", "`struct timer_list` has no member named `no_such`"),
        ("undeclared", "`HZ_NO_SUCH` undeclared"),
        ("global", "`NO_SUCH` undeclared"),
        ("header", "`linux/no_such.h`: No such file or directory"),
        ("pointer", "initialization of `int (* const)(struct inode *)` from incompatible pointer type"),
        ("argument", "passing argument 1 of `take` from incompatible pointer type"),
        ("macro", "macro `TWO` requires 2 arguments, but only 1 given"),
        ("unknown", "field `inner` has incomplete type"),
        ("conflict", "conflicting types for `wrong_init`"),
        ("werror", "unused variable `unused` [-Werror=unused-variable]"),
        ("static", "`never` defined but not used [-Werror=unused-function]"),
        ("symbol", "modpost: `no_such_export` undefined"),
        ("rule", "No rule to make target `wrong.o`"),
    ],
)
def test_four_compilers_say_the_same(mistake: str, name: str) -> None:
    (found,) = ({*builds} for group, builds in groups().items() if group.startswith(name))
    assert {f"wrong-{mistake}/gcc-{version}" for version in (10, 12, 14, 16)} <= found


def test_typographic_quotes_are_quotes() -> None:
    found = groups()["implicit declaration of function `no_such_function`"]
    assert {build.partition("/")[0] for build in found} == {"wrong-implicit", "wrong-quotes"}
    assert len(found) == 8


def test_modules_of_debian_fall_into_groups() -> None:
    found = {name: len(builds) for name, builds in groups().items()}
    assert {
        "implicit declaration of function `strlcpy`": 7,
        "macro `DEFINE_SEMAPHORE` requires 2 arguments, but only 1 given": 4,
        "`asm/unaligned.h`: No such file or directory": 4,
        "`no_llseek` undeclared": 2,
        "`struct block_device` has no member named `bd_inode`": 1,
        r"dkms.conf: BUILD_EXCLUSIVE_KERNEL is ^((5\.[0-5]($|[.-]))|(4\.)|(3\.1[0-9]))": 2,
    }.items() <= found.items()


def test_no_name_has_a_path_a_line_or_a_kernel() -> None:
    for name in groups():
        assert len(name) <= 200
        for sign in ("/usr/", "/build/", ".c:", ".h:", "6.12.117", "7.2.13", "did you mean", "aka", "'", "\u2018"):
            assert sign not in name


@pytest.mark.parametrize(
    ("cause", "name"),
    [
        ("killed for memory: the limit is 2048 MiB", "killed for memory"),
        ("killed for memory, most likely: the limit is 512 MiB", "killed for memory"),
        ("disk full: the limit is 1024 MiB in /build", "disk full"),
        ("stopped after 1800 s, the limit of its time", "stopped by the limit of its time"),
        ("stopped: its log is longer than the limit of 20480 KiB", "stopped by the limit of its log"),
        ("header package gone: http://mirror/pool/l/linux-headers_1.deb", "header package gone: http://mirror/pool/l/..."),
        ("the build made no xt_CUI.ko", "the build made no xt_CUI.ko"),
        (
            "BUILD_EXCLUSIVE_KERNEL_MAX is 6.3, and the kernel is 6.12.1-amd64",
            "dkms.conf: BUILD_EXCLUSIVE_KERNEL_MAX is 6.3",
        ),
        (
            "BUILD_EXCLUSIVE_CONFIG has CONFIG_VIDEO_DEV, and the kernel has it not",
            "dkms.conf: BUILD_EXCLUSIVE_CONFIG has CONFIG_VIDEO_DEV",
        ),
        (
            "not publishable: x.ko: built for the kernel '6.1.0-50-amd64', not 6.12.1-amd64; y.ko: no section .modinfo",
            "not publishable: built for the kernel `...`, not ...",
        ),
        (
            "not publishable: x.ko: built with another CRC of module_layout, printk",
            "not publishable: built with another CRC of module_layout, printk",
        ),
        ("not publishable: the build wrote no module", "not publishable: the build wrote no module"),
        # as resolve_btfids and pahole say it (tools/bpf/resolve_btfids/main.c)
        ("FAILED: load BTF from /usr/src/vmlinux: Invalid argument", "FAILED: load BTF from vmlinux: Invalid argument"),
        ("x.c:1:2: error: unknown type name \u2018a_t\u2019; did you mean \u2018b_t\u2019?", "unknown type name `a_t`"),
        ("a.c:(.text+0x1c): undefined reference to `no_such'", "undefined reference to `no_such`"),
        ("make[2]: *** [/usr/src/x/Makefile:12: all] Error 2", "make: `all`: Error 2"),
        ("the source of 6.12.1-amd64 0123456789abcdef is at https://example.org/a/b", "the source of ... ... is at https://example.org/a/..."),
        ("x.S:12: Error: no such instruction: `frob %eax'", "no such instruction: `frob %eax`"),
        ("", ""),
    ],
)  # fmt: skip
def test_what_others_than_a_compiler_say(cause: str, name: str) -> None:
    assert group_name(cause, "6.12.1-amd64") == name
