"""What nodes say they run (tests/data/osrelease), and what else may stand there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.distros import DISTROS
from kmodci.errors import NotFound
from kmodci.model import Target
from kmodci.osrelease import parse, place_of, series_of
from kmodci.release import BadName
from kmodci.settings import load

DATA = Path(__file__).parent / "data" / "osrelease"
PLACES = {
    "almalinux-9": ("almalinux", "9"),
    "amzn-2": ("amzn", "2"),
    "amzn-2023": ("amzn", "2023"),
    "arch-rolling": ("arch", "rolling"),
    "centos-stream9": ("centos", "stream9"),
    "debian-bookworm": ("debian", "bookworm"),
    "debian-bullseye": ("debian", "bullseye"),
    # sid's base-files is forky's: only its kernels tell them apart
    "debian-sid": ("debian", "forky"),
    "debian-trixie": ("debian", "trixie"),
    "fedora-43": ("fedora", "43"),
    "flatcar": ("flatcar", "4230.2.0"),
    "ol-9": ("ol", "9"),
    "opensuse-15.6": ("opensuse", "15.6"),
    "opensuse-tumbleweed": ("opensuse", "tumbleweed"),
    "photon-5.0": ("photon", "5.0"),
    "rhel-9": ("rhel", "9"),
    "rocky-9": ("rocky", "9"),
    "sles-15.6": ("sles", "15.6"),
    "ubuntu-jammy": ("ubuntu", "jammy"),
    "ubuntu-noble": ("ubuntu", "noble"),
}


def test_every_file_is_looked_at() -> None:
    assert {path.name for path in DATA.iterdir()} - {"ORIGIN"} == PLACES.keys()


@pytest.mark.parametrize("name", PLACES)
def test_what_a_node_runs(name: str) -> None:
    place = place_of((DATA / name).read_text())
    assert place == PLACES[name]
    assert str(Target(distro=place[0], series=place[1], arch="amd64"))


def test_the_series_are_those_of_targets_yml() -> None:
    config = Path(__file__).parents[1] / "config"
    followed = {(each.distro, each.series) for each in load(config).targets}
    # whose series are kernel-crawler's channels
    assert {place for place in PLACES.values() if place[0] != "flatcar"} <= followed
    for distro, series in followed:
        assert series_of(distro, series) == series


@pytest.mark.parametrize(
    ("distro", "text", "series"),
    [
        ("debian", "12.5", "bookworm"),
        ("debian", "sid", "sid"),
        ("debian", "99", "99"),
        ("ubuntu", "22.04", "jammy"),
        ("ubuntu", "22.04.3", "jammy"),
        ("ubuntu", "noble", "noble"),
        ("centos", "7", "7"),
        ("centos", "stream10", "stream10"),
        ("opensuse", "20261120", "tumbleweed"),
        ("arch", "", "rolling"),
        ("arch", "20261101.0", "rolling"),
        ("sles", "16.0", "16.0"),
        ("talos", "v1.11.2", "v1.11.2"),
        ("bottlerocket", "1.40.0", "1.40.0"),
        ("vanilla", "mine", "mine"),
    ],
)
def test_a_version_or_a_series(distro: str, text: str, series: str) -> None:
    assert series_of(distro, text) == series


@pytest.mark.parametrize(
    ("distro", "text", "error"),
    [
        ("ubuntu", "99.04", NotFound),
        ("ubuntu", "", NotFound),
        ("debian", "", NotFound),
        ("vanilla", "", NotFound),
        ("debian", "../etc", BadName),
        ("debian", "a-b", BadName),
        ("debian", "12\n", BadName),
        ("ubuntu", "$(id)", BadName),
    ],
)
def test_what_is_none_is_told(distro: str, text: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="hint: "):
        series_of(distro, text)


def test_it_is_read_as_a_shell_would_and_nothing_is_run() -> None:
    text = '# comment\nID=\'debian\'\nVERSION_ID="1\\2"\n VERSION_ID="12" \nNAME="a\nBAD\nX=a b\nHOME=$(id)`id`\n'
    assert parse(text) == {"ID": "debian", "VERSION_ID": "12", "HOME": "$(id)`id`"}
    assert place_of(text) == ("debian", "bookworm")


@pytest.mark.parametrize("text", ["", "ID=alpine\nVERSION_ID=3.20\n", 'ID=linuxmint\nID_LIKE="ubuntu debian"\n'])
def test_what_is_not_known_is_not_guessed_from_what_it_is_like(text: str) -> None:
    with pytest.raises(NotFound, match="there are: almalinux, "):
        place_of(text)


@pytest.mark.parametrize("line", ["ID=$(reboot)", "ID=../debian", 'ID="a b"c;', "ID=debian\nVERSION_ID=`id`"])
def test_what_would_do_harm_is_refused(line: str) -> None:
    with pytest.raises(BadName):
        place_of(line)


@given(st.sampled_from(sorted(DISTROS)), st.text(max_size=80))
def test_whatever_is_said_is_part_of_a_target_or_refused(distro: str, text: str) -> None:
    try:
        series = series_of(distro, text)
    except (BadName, NotFound):
        return
    assert Target(distro=distro, series=series, arch="amd64").series == series
