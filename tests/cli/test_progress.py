"""When `kmodci up` has seen enough."""

from dataclasses import replace

import pytest
from kmodci.cli.progress import Run
from kmodci.coverage import Standing
from kmodci.matrix import Entry
from kmodci.model import BuildId, Status
from support.kernels import kernels

BUILDS = {
    str(build): Standing(entry=Entry(build_id=build, kernel=kernel), status=Status.PENDING)
    for kernel in kernels()[:2]
    for build in [BuildId(module="loop", target=kernel.target, release=kernel.release)]
}
ONE, OTHER = BUILDS


def run(*statuses: Status, stuck: tuple[str, ...] = (), unread: tuple[str, ...] = (), is_open: bool = True) -> Run:
    builds = tuple(
        Standing(entry=each.entry, status=status) for each, status in zip(BUILDS.values(), statuses, strict=True)
    )
    waiting = dict.fromkeys(stuck, "no image")
    return Run(builds=builds, waiting=waiting, stuck=frozenset(stuck), unread=unread, is_open=is_open, faults={})


@pytest.mark.parametrize(
    "at",
    [
        run(Status.BUILT, Status.PENDING),
        run(Status.BUILT, Status.BUILT),
        run(Status.BUILT, Status.BUILT, is_open=False, unread=("sid main",)),
        run(Status.PENDING, Status.PENDING, stuck=(ONE,)),
        # tried again after some hours
        run(Status.BUILT, Status.UNAVAILABLE),
        # what the store takes for built need not be in the bucket any more
        replace(run(Status.BUILT, Status.BUILT, is_open=False), is_caught_up=False),
    ],
)
def test_it_goes_on(at: Run) -> None:
    assert not at.is_over


@pytest.mark.parametrize(
    "at",
    [
        run(Status.BUILT, Status.FAILED, is_open=False),
        run(Status.BUILT, Status.PENDING, stuck=(OTHER,)),
        # tried again, but there is no image to try with: its run stays open
        run(Status.BUILT, Status.UNAVAILABLE, stuck=(OTHER,)),
    ],
)
def test_it_is_over(at: Run) -> None:
    assert at.is_over
