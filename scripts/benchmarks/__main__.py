"""The commands of `scripts/bench`."""

import sys
from pathlib import Path

import click
from kmodci.cli.output import note
from kmodci.errors import KmodciError

from . import arrival, asking, crawlercases, discovery, efficiency, others, pages, place, scale, sent

_KERNELS = click.option("--kernels", "count", default=100, show_default=True, help="How many.")
_MODULE = click.option("--module", default="v4l2loopback", show_default=True, help="Of modules.yml.")
_EXCLUDE = click.option(
    "--exclude",
    multiple=True,
    default=("*/*cloud*",),
    show_default=True,
    help="Patterns of target/release that are left out: those that the module's dkms.conf excludes.",
)
SIZES = (100, 1_000, 10_000)
_CGROUP = click.option(
    "--cgroup", default="docker", show_default=True, help="Where the engine's containers are counted."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def bench() -> None:
    """Measures the farm on this machine, and what it is compared with."""


@bench.command(name="efficiency")
@_KERNELS
@_MODULE
@_EXCLUDE
@_CGROUP
@click.option("--cold/--warm-only", default=True, show_default=True, help="Whether to begin with an empty state.")
def efficiency_(count: int, module: str, exclude: tuple[str, ...], cgroup: str, cold: bool) -> None:
    """Bare make over cores x wall time, of a run from nothing and of one with the header bundles there."""
    with place.place(module) as made:
        good = efficiency.measure(made, count=count, exclude=exclude, cold=cold, cgroup=cgroup)
        efficiency.overhead(made)
    sys.exit(0 if good else 1)


@bench.command(name="overhead")
@_MODULE
def overhead_(module: str) -> None:
    """What a build costs besides make, and where: of the runs that `efficiency` made last."""
    with place.place(module) as made:
        efficiency.overhead(made)


@bench.command(name="dkms")
@_KERNELS
@_MODULE
@_EXCLUDE
def dkms_(count: int, module: str, exclude: tuple[str, ...]) -> None:
    """`dkms build` for the same kernels, one after the other and two at a time."""
    with place.place(module) as made:
        others.dkms(made, count=count, exclude=exclude)


@bench.command(name="container")
@_KERNELS
@_MODULE
@_EXCLUDE
def container_(count: int, module: str, exclude: tuple[str, ...]) -> None:
    """A container per kernel that gets the header packages, unpacks them and makes; two at a time."""
    with place.place(module) as made:
        others.container(made, count=count, exclude=exclude)


@bench.command(name="time-to-module")
@click.option("--kernels", "count", default=20, show_default=True, help="How many, one after the other.")
@click.option("--interval", default=10, show_default=True, help="Of the polls, in seconds.")
@_MODULE
@_EXCLUDE
def time_to_module(count: int, interval: int, module: str, exclude: tuple[str, ...]) -> None:
    """From a kernel in a repository on loopback to its module in the bucket."""
    with place.place(module) as made:
        arrival.measure(made, count=count, exclude=exclude, interval=interval)


@bench.command(name="asking")
@click.option("--kernels", "count", default=40, show_default=True, help="That a run builds; as many are asked about.")
@click.option("--rate", default=1000, show_default=True, help="Questions a second.")
@click.option("--rounds", default=2, show_default=True, help="How often, one with questions and one without.")
@_MODULE
@_EXCLUDE
def asking_(count: int, rate: int, rounds: int, module: str, exclude: tuple[str, ...]) -> None:
    """A run of builds while so many questions about others are asked over HTTP, and one without."""
    with place.place(module) as made:
        asking.measure(made, count=count, exclude=exclude, rate=rate, rounds=rounds)


@bench.command(name="scale")
@click.option("--size", "sizes", multiple=True, type=int, default=SIZES, show_default=True, help="Kernels.")
def scale_(sizes: tuple[int, ...]) -> None:
    """Start, memory, plan, poll and REST of a master with so many synthetic kernels, four modules each."""
    with place.place("*") as made:
        scale.measure(made, sizes)


@bench.command(name="pages")
@click.option("--builds", default=10_000, show_default=True, help="Of the one module.")
@click.option("--repeat", default=9, show_default=True, help="How often; the median counts.")
@click.option("--browser", default="/usr/bin/chromium", show_default=True, help="A Chromium; '' for none.")
def pages_(builds: int, repeat: int, browser: str) -> None:
    """The coverage page of a synthetic board: on the master, on the wire, in a browser (needs scripts/test's)."""
    pages.measure(builds, repeat, browser)


@bench.command(name="crawler-cases")
@click.option("--markdown", "as_markdown", is_flag=True, help="As docs/kernel-crawler.md has it.")
def crawler_cases(as_markdown: bool) -> None:
    """kernel-crawler's published weaknesses: case, its answer, ours. Needs what scripts/test installs."""
    crawlercases.measure(as_markdown=as_markdown)


_REPEAT = click.option("--repeat", default=3, show_default=True, help="How often; the median counts.")
_CRAWLER = click.option("--crawler", type=click.Path(path_type=Path), help="A Python that has kernel-crawler.")


@bench.command(name="discovery")
@_REPEAT
@_CRAWLER
@click.option("--packages", default=70_000, show_default=True, help="Of the rpm repository.")
@click.option("--live/--recorded-only", default=True, show_default=True, help="Whether to ask the real mirrors.")
def discovery_(repeat: int, crawler: Path | None, packages: int, live: bool) -> None:
    """What it costs to find all kernels of Debian, and those of a large rpm repository."""
    with place.place("*") as made:
        discovery.measure(made, repeat=repeat, packages=packages, crawler=crawler, live=live)


@bench.command(name="sent")
@click.option("--repeat", default=5, show_default=True, help="How often each way; the median counts.")
@_MODULE
@_EXCLUDE
@_CGROUP
def sent_(repeat: int, module: str, exclude: tuple[str, ...], cgroup: str) -> None:
    """A build with its inputs mounted, and sent to the engine as if that were on another machine."""
    with place.place(module) as made:
        sent.measure(made, repeat=repeat, exclude=exclude, cgroup=cgroup)


@bench.command(name="all")
@_KERNELS
@_MODULE
@_EXCLUDE
@_CGROUP
@_CRAWLER
def all_(count: int, module: str, exclude: tuple[str, ...], cgroup: str, crawler: Path | None) -> None:
    """All of them, one after the other."""
    with place.place(module) as made:
        good = efficiency.measure(made, count=count, exclude=exclude, cold=True, cgroup=cgroup)
        efficiency.overhead(made)
        others.dkms(made, count=count, exclude=exclude)
        others.container(made, count=count, exclude=exclude)
    with place.place(module) as made:
        arrival.measure(made, count=20, exclude=exclude, interval=10)
    with place.place("*") as made:
        scale.measure(made, SIZES)
    with place.place("*") as made:
        discovery.measure(made, repeat=5, packages=70_000, crawler=crawler, live=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    try:
        bench()
    except KmodciError as error:
        note(f"bench: {error}")
        sys.exit(2)
