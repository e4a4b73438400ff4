"""What the coverage page shows, of Debian's kernels of one day and of made ones."""

from dataclasses import replace

import pytest
from kmodci.board import RUNNING
from kmodci.coveragetable import Row, column
from kmodci.coverageview import ABSENT, Filter, ModuleView, fingerprints, lines, newcomers, versions, view
from kmodci.model import Kernel, Status, Target
from kmodci.past import Arrival
from support.boards import board
from support.kernels import headers, kernels

RELEASE = "6.1.0-50-amd64"
NAME = f"loop/debian-bookworm-amd64/{RELEASE}"


def kernel(release: str, flavour: str, *, target: str = "ubuntu-noble-amd64", gone: float = 0.0) -> Kernel:
    return Kernel(
        target=Target.parse(target),
        release=release,
        version="1",
        flavour=flavour,
        toolchain="gcc-14",
        repository="main",
        headers=(headers(release, "1"),),
        gone=gone,
    )


def rows(seen: ModuleView) -> dict[str, Row]:
    """By their names on the page."""
    return {row.id: row for series in seen.series for block in series.blocks for row in block.rows}


def test_every_build_of_the_matrix_has_one_cell_in_its_row_and_column() -> None:
    of = board({NAME: (Status.FAILED, "error")})
    seen = view(of, "loop")
    cells = [cell for row in rows(seen).values() for cell in row.cells if cell]
    assert sorted(f"loop/{cell.target}/{cell.release}" for cell in cells) == sorted(of.standings)
    for series in seen.series:
        for block in series.blocks:
            for row in block.rows:
                assert len(row.cells) == len(block.columns)
                for label, cell in zip(block.columns, row.cells, strict=True):
                    if cell:
                        assert cell.release.startswith(label)
                        assert (cell.target.distro, cell.target.series) == (series.distro, series.name)
                        assert (cell.target.arch, cell.flavour) == (row.arch, row.flavour)
    assert seen.whole.total == seen.shown.total == len(of.standings)
    assert seen.whole[Status.FAILED] == 1


def test_flavours_of_a_series_share_their_columns_with_the_newest_first() -> None:
    bookworm = next(each for each in view(board(), "loop").series if each.name == "bookworm")
    first = bookworm.blocks[0]
    assert {"amd64", "cloud-amd64", "rt-amd64", "arm64"} <= {row.flavour for row in first.rows}
    own = [label for label in first.columns if label.startswith("6.1.0-")]
    assert own == sorted(own, key=lambda label: -int(label.removeprefix("6.1.0-"))) and len(own) > 1


def test_flavours_with_releases_of_their_own_have_a_table_of_their_own() -> None:
    made = [kernel(f"6.8.0-{n}-{f}", f) for n in (40, 41) for f in ("generic", "lowlatency")]
    made += [kernel(f"6.8.0-10{n}-{f}", f) for n in (10, 11) for f in ("aws", "gcp")]
    [series] = view(board(among=made), "loop").series
    assert [(block.columns, [row.name for row in block.rows]) for block in series.blocks] == [
        (("6.8.0-1011", "6.8.0-1010"), ["aws amd64", "gcp amd64"]),
        (("6.8.0-41", "6.8.0-40"), ["generic amd64", "lowlatency amd64"]),
    ]


@pytest.mark.parametrize(
    ("release", "flavour", "label"),
    [
        ("6.1.0-56-amd64", "amd64", "6.1.0-56"),
        ("6.1.0-56-cloud-amd64", "cloud-amd64", "6.1.0-56"),
        ("6.12.43+deb13-arm64-16k", "arm64-16k", "6.12.43+deb13"),
        ("6.8.0-49-generic", "generic", "6.8.0-49"),
        ("6.11.10-300.fc41.x86_64", "x86_64", "6.11.10-300.fc41"),
        ("5.14.0-503.15.1.el9_5.x86_64+rt", "rt", "5.14.0-503.15.1.el9_5"),
        ("6.12.1-arch1-1", "arch", "6.12.1-arch1-1"),
        ("6.6.60-flatcar", "", "6.6.60-flatcar"),
    ],
)
def test_a_column_is_a_release_without_its_flavour(release: str, flavour: str, label: str) -> None:
    assert column(release, flavour) == label


def test_releases_that_differ_in_nothing_else_are_both_there() -> None:
    made = [kernel("6.1.0-amd64", "x"), kernel("6.1.0-x", "x")]
    [row] = rows(view(board(among=made), "loop")).values()
    assert sorted(cell.release for cell in row.cells if cell) == ["6.1.0-amd64", "6.1.0-x"]


def test_a_row_is_called_by_its_flavour_and_by_its_architecture_where_that_says_more() -> None:
    made = [
        kernel("6.1.0-1-cloud-amd64", "cloud-amd64", target="debian-sid-amd64"),
        kernel("6.8.0-1-generic", "generic", target="ubuntu-noble-arm64"),
        kernel("6.11-1.fc41.x86_64", "x86_64", target="fedora-41-amd64"),
    ]
    assert {row.name for row in rows(view(board(among=made), "loop")).values()} == {
        "cloud-amd64",
        "generic arm64",
        "x86_64",
    }


def test_what_is_skipped_is_not_wanted() -> None:
    of = board(Status.SKIPPED)
    assert view(of, "loop").whole.percent is None
    first, *others = of.standings
    of = board({first: (Status.BUILT, ""), **dict.fromkeys(others, (Status.SKIPPED, "no"))})
    assert view(of, "loop").whole.percent == 100.0
    assert view(board({first: (Status.BUILT, "")}), "loop").whole.percent < 1


@pytest.mark.parametrize(
    "chosen",
    [
        Filter(state=Status.FAILED),
        Filter(distro="debian", series="bookworm", arch="amd64", flavour="amd64", text="6.1.0-50"),
        Filter(text=RELEASE.upper()),
        Filter(text="bookworm-amd64/6.1.0-50-amd64"),
    ],
)
def test_what_is_chosen_is_shown_and_all_is_counted(chosen: Filter) -> None:
    of = board({NAME: (Status.FAILED, "error")})
    seen = view(of, "loop", "", chosen)
    found = [f"loop/{cell.target}/{cell.release}" for row in rows(seen).values() for cell in row.cells if cell]
    assert NAME in found and seen.shown.total == len(found) < seen.whole.total
    assert seen.choices["series"] == view(of, "loop").choices["series"]
    assert chosen.is_set and not Filter().is_set


def test_what_no_kernel_is_like_leaves_nothing() -> None:
    assert view(board(), "loop", "", Filter(distro="<script>")).series == ()


def test_what_runs_is_running() -> None:
    of = board(running={NAME: "http://127.0.0.1/"})
    assert view(of, "loop").whole[RUNNING] == 1
    [line] = lines(of)
    assert (line.module, line.version, line.count[RUNNING], line.count.total) == ("loop", "1.0", 1, len(of.standings))


def test_a_module_whose_source_is_not_read_has_no_version_yet() -> None:
    assert [line.version for line in lines(board(versions={}))] == [""]
    assert view(board(versions={}), "loop").version == ""


def test_what_a_pending_build_waits_for_is_told() -> None:
    seen = view(board(waiting={NAME: "no image"}), "loop")
    assert [cell.cause for row in rows(seen).values() for cell in row.cells if cell and cell.cause] == ["no image"]


def test_of_an_older_version_there_is_what_is_published() -> None:
    of = board({NAME: (Status.BUILT, "")})
    entry = of.published["loop", "1.0"][NAME]
    unknown = "loop/debian-bookworm-amd64/6.1.0-1-amd64"
    lost = entry.model_copy(update={"release": "6.1.0-1-amd64"})
    of = replace(of, published={**of.published, ("loop", "0.9"): {NAME: entry, unknown: lost}, ("loop", "0.8"): {}})
    assert versions(of, "loop") == ("0.9",)
    seen = view(of, "loop", "0.9")
    assert (seen.version, seen.is_current, seen.others) == ("0.9", False, ("0.9",))
    assert (seen.whole[Status.BUILT], seen.whole[ABSENT]) == (2, len(of.standings) - 1)
    assert view(of, "loop", "1.0").is_current


def test_the_newest_kernels_are_those_that_appeared_last() -> None:
    every = {str(each): each for each in kernels()}
    first, second, third = [each for each in every if "bookworm-amd64" in each][:3]
    when = {(name, every[name].version): at for name, at in ((first, 10.0), (second, 30.0), (third, 20.0))}
    # of packages that it has no more
    when[third, "0"] = 99.0
    arrival = Arrival(build_id=f"loop/{second}", kernel_version=every[second].version, appeared=30.0, built=42.0)
    of = board({f"loop/{second}": (Status.BUILT, "")}, appearances=when, arrivals={arrival.build_id: arrival})
    found = newcomers(of, most=2)
    assert [str(each.kernel) for each in found] == [second, third]
    assert found[0].modules == (("loop", "built", arrival),) and arrival.took == 12.0
    assert found[1].modules == (("loop", "pending", None),)
    assert newcomers(board(), most=2) == ()


def test_what_looks_as_it_did_is_known_by_its_fingerprint() -> None:
    of = board()
    before = fingerprints(view(of, "loop"))
    assert before == fingerprints(view(board(), "loop"))
    after = fingerprints(view(board({NAME: (Status.BUILT, "")}), "loop"))
    assert {each for each in before if before[each] != after[each]} == {
        "debian-bookworm-amd64-amd64",
        "debian-bookworm",
    }
    # a kernel that is new or gone is a change too
    fewer = fingerprints(view(board(among=[each for each in kernels() if each.release != RELEASE]), "loop"))
    assert fewer["debian-bookworm"] != before["debian-bookworm"]
