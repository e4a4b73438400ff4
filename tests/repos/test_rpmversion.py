import random
import subprocess

import pytest
from kmodci.repos.rpmversion import compare, split

# as rpm's documentation and tests have them (docs/manual/dependencies.md, tests/rpmvercmp.at), and Red Hat's kernels
ORDERED = [
    ("1.0~rc1-1", "1.0-1"),
    ("1.0~rc1~git1-1", "1.0~rc1-1"),
    ("1.0-1", "1.0^-1"),
    ("1.0^git1-1", "1.0^git2-1"),
    ("1.0^git1-1", "1.0.1-1"),
    ("1.0~rc1^git1-1", "1.0-1"),
    ("1.0~rc1-1", "1.0~rc1^git1-1"),
    ("1.0-1", "1.0.1-1"),
    ("5.5p1-1", "5.5p10-1"),
    ("10xyz-1", "10.1xyz-1"),
    ("xyz.4-1", "8-1"),
    ("2.0-1", "2.0.1a-1"),
    ("5.14.0-70.13.1.el9_0", "5.14.0-362.el9"),
    ("4.18.0-553.el8", "4.18.0-553.el8_10"),
    ("4.18.0-80.el8", "4.18.0-553.rt7.342.el8_10"),
    ("9999-1", "1:0.1-1"),
    ("1:1-1", "2:0-1"),
    ("6.12.0-0.rc1.1.eln142", "6.12.0-1.eln142"),
]
SAME = [("1.0-1", "1.0-1"), ("1.0-1", "1_0-1"), ("1.05-1", "1.5-1"), ("0:1-1", "1-1"), ("1.0.-1", "1.0-1")]


@pytest.mark.parametrize(("older", "newer"), ORDERED)
def test_which_is_newer(older: str, newer: str) -> None:
    assert compare(older, newer) < 0
    assert compare(newer, older) > 0


@pytest.mark.parametrize(("one", "other"), SAME)
def test_which_are_the_same(one: str, other: str) -> None:
    assert compare(one, other) == compare(other, one) == 0


def test_as_rpm_itself_compares() -> None:
    dice = random.Random(4)
    texts = ["".join(dice.choices("01a.b~^_+2", k=dice.randint(1, 7))) for _ in range(1000)]
    pairs = list(zip(texts[::2], texts[1::2], strict=True))
    script = "; ".join(f'print(rpm.vercmp("{one}", "{other}").." ")' for one, other in pairs)
    told = subprocess.run(["rpm", "--eval", f"%{{lua: {script}}}"], capture_output=True, text=True, check=True).stdout
    assert [compare(f"{one}-1", f"{other}-1") for one, other in pairs] == [int(word) for word in told.split()]


def test_the_parts() -> None:
    assert split("1:5.14.0-503.el9") == (1, "5.14.0", "503.el9")
    assert split("5.14.0-503.el9") == (0, "5.14.0", "503.el9")
