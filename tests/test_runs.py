from dataclasses import replace

from kmodci.model import BuildId, Outcome, Status
from kmodci.runs import last_run


def outcome(release: str, start: float, end: float, *, module: str = "scap", make: float = 0.0) -> Outcome:
    return Outcome(
        build_id=BuildId.parse(f"{module}/debian-trixie-amd64/{release}"),
        key="k",
        status=Status.BUILT,
        module_version="1",
        kernel_version="1",
        finished=end,
        seconds=end - start,
        make_seconds=make,
    )


def test_a_run_is_what_no_pause_parts() -> None:
    before = outcome("6.1-amd64", 0, 50)
    first, second = outcome("6.12-amd64", 1000, 1020, make=8), outcome("6.12-amd64", 1005, 1030, module="v4l", make=7)
    after_a_pause = replace(outcome("7.2-amd64", 1130, 1140, make=10), status=Status.FAILED)
    run = last_run([second, before, after_a_pause, first], quiet=110)
    assert run is not None
    assert run.builds == (first, second, after_a_pause)
    assert (run.started, run.finished, run.wall, run.kernels, run.make_seconds) == (1000, 1140, 140, 2, 25)
    assert run.counts == {Status.BUILT: 2, Status.FAILED: 1}
    assert run.efficiency(2) == 25 / 280
    shorter = last_run([second, before, after_a_pause, first], quiet=90)
    assert shorter is not None
    assert shorter.builds == (after_a_pause,)


def test_a_start_of_the_farm_begins_a_run() -> None:
    builds = [outcome("1-a", 0, 10), outcome("2-a", 20, 30)]
    run = last_run(builds, quiet=100, start=15)
    assert run is not None
    assert run.builds == (builds[1],)
    built_nothing_since = last_run(builds, quiet=100, start=50)
    assert built_nothing_since is not None
    assert len(built_nothing_since.builds) == 2


def test_a_long_build_holds_a_run_together() -> None:
    long, short, early = outcome("1-a", 0, 500), outcome("2-a", 400, 410), outcome("3-a", 0, 20)
    run = last_run([long, short, early], quiet=10)
    assert run is not None
    assert run.builds == (early, short, long)


def test_of_nothing() -> None:
    assert last_run([], quiet=10) is None
    at_once = last_run([outcome("1-a", 5, 5)], quiet=10)
    assert at_once is not None
    assert at_once.efficiency(2) == 0.0
