import pytest
from kmodci.release import BadName
from kmodci.selectors import check_selector, matches, matching_none

BUILD = "scap/debian-bullseye-arm64/5.10.0-30-arm64"


@pytest.mark.parametrize(
    "selector", ["*", "scap/*", "*/5.10.*", "scap/debian-bullseye-*/5.10*", "scap/debian-*-arm64/*-arm64", BUILD]
)
def test_selectors_that_take_a_build(selector: str) -> None:
    assert matches(BUILD, [check_selector(selector, parts=3)])


@pytest.mark.parametrize("selector", ["scap", "*/5.1.*", "SCAP/*", "scap/debian-bookworm-*/5.10*", "*-amd64"])
def test_selectors_that_do_not(selector: str) -> None:
    assert not matches(BUILD, ["v4l2loopback/*", selector])


def test_a_dot_is_a_dot() -> None:
    assert not matches("debian-bookworm-amd64/6x1.0-1-amd64", ["*/6.1.0-1-amd64"])


@pytest.mark.parametrize("selector", ["", "a b", "a\n", "$(id)", "x" * 300])
def test_what_is_no_selector(selector: str) -> None:
    with pytest.raises(BadName, match="not a selector"):
        check_selector(selector, parts=2)


@pytest.mark.parametrize(
    ("selector", "parts"), [("debian-trixie-amd64", 2), ("scap/debian-trixie-amd64", 3), ("a/b/*", 2)]
)
def test_selectors_that_could_never_take_anything(selector: str, parts: int) -> None:
    with pytest.raises(BadName, match="selects nothing"):
        check_selector(selector, parts=parts)


def test_a_slip_of_the_pen_is_noticed_where_it_is_certain() -> None:
    targets = ["debian-trixie-amd64", "debian-trixie-arm64"]
    assert matching_none("debian-trixe-*/6.*", targets, part=0, parts=2)
    assert not matching_none("debian-*/6.*", targets, part=0, parts=2)
    assert not matching_none("*6.12*", targets, part=0, parts=2)
