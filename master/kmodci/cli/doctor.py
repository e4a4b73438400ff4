"""`kmodci doctor`: what is wrong with a farm, and what to do about it."""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from ..checkup.everything import Everything
from ..checkup.rounds import Check, make_round
from ..errors import KmodciError, SettingsError
from ..findings import Level, Report, worst
from ..settings import load
from .bar import Bar
from .options import config_option, json_option
from .output import print_json
from .processes import pid_on

_SIGNS = {Level.WRONG: ("wrong", "red"), Level.NOTE: ("note", "yellow"), Level.GOOD: ("good", "green")}


@click.command()
@config_option
@click.option("--quiet", is_flag=True, help="Tell only what is not good.")
@json_option
def doctor(config: Path, quiet: bool, as_json: bool) -> None:
    """Look at all that a farm needs, and say what is wrong, where, and what to do.

    Build hosts (a sandbox is started on each, and tried), toolchain images, bucket, databases, sources and their
    mirrors, clocks, certificates, disk, permissions, versions, ports, and the farm itself, if one runs. Works beside a
    farm and without one. Changes nothing, but that the bucket has an object below state/doctor/ for a moment; where the
    embedded S3 server does not run, it is started for as long as this takes.

    \b
    kmodci doctor
    kmodci doctor --quiet

    \b
    Exit status:
      0    good, perhaps with notes
      1    something is wrong
      2    the configuration cannot be used
    """
    try:
        settings = load(config)
        everything = Everything(settings, settings.find_scope(), pid_on(settings.state))
        checks = list(everything.checks())
    except KmodciError as error:
        # what nothing can be looked at without
        problems = error.problems if isinstance(error, SettingsError) else (str(error),)
        if as_json:
            print_json({"level": Level.WRONG, "problems": list(problems), "reports": []})
        else:
            click.echo(f"error: {error}", err=True)
        sys.exit(SettingsError.exit_code)
    reports = _look(checks)
    level = worst(report.level for report in reports)
    if as_json:
        print_json({"level": level, "problems": [], "reports": [_plain(each) for each in reports]})
    else:
        _print(reports, quiet=quiet)
    sys.exit(level is Level.WRONG)


def _look(checks: Sequence[Check]) -> tuple[Report, ...]:
    with Bar(Console(stderr=True)) as bar:
        bar.update("looking", completed=0, total=len(checks))

        def tell(report: Report, left: int) -> None:
            bar.update(f"{report.part}: {report.where}", completed=len(checks) - left, total=len(checks))

        return make_round(checks, tell)


def _print(reports: Sequence[Report], *, quiet: bool) -> None:
    for part in dict.fromkeys(report.part for report in reports):
        told = [
            (report.where, finding)
            for report in reports
            for finding in report.findings
            if report.part == part and not (quiet and finding.level is Level.GOOD)
        ]
        if told:
            click.secho(part, bold=True)
        for where, finding in told:
            sign, colour = _SIGNS[finding.level]
            click.echo(f"  {click.style(f'{sign:<6}', fg=colour)}{where}: {finding.what}")
            for line in filter(None, finding.advice.splitlines()):
                click.echo(f"          -> {line}")
    counts = {level: sum(f.level is level for report in reports for f in report.findings) for level in Level}
    click.echo(f"{counts[Level.WRONG]} wrong, {counts[Level.NOTE]} notes, {counts[Level.GOOD]} good")


def _plain(report: Report) -> dict[str, object]:
    return {
        "part": report.part,
        "where": report.where,
        "level": report.level,
        "seconds": round(report.seconds, 3),
        "findings": [{"level": each.level, "what": each.what, "advice": each.advice} for each in report.findings],
    }
