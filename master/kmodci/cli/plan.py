"""`kmodci plan`: what is due."""

from collections import Counter
from pathlib import Path

import click

from ..selectors import check_selector, matches
from .completing import complete_builds
from .options import config_option, json_option, look_option, scope_option
from .output import note, print_json, print_table
from .view import end, open_view


@click.command()
@click.argument("selectors", nargs=-1, metavar="[SELECTOR]...", shell_complete=complete_builds)
@config_option
@scope_option
@look_option
@json_option
def plan(selectors: tuple[str, ...], config: Path, scope: str, fresh: bool, as_json: bool) -> None:
    """List the builds that are due, in their order, and why.

    SELECTOR is a pattern of build ids.

    \b
    kmodci plan
    kmodci plan 'scap/*' --scope all
    """
    wanted = [check_selector(selector, parts=3) for selector in selectors] or ["*"]
    view = open_view(config, scope, fresh=fresh)
    due = [each for each in view.planned() if matches(str(each.entry.build_id), wanted)]
    if as_json:
        builds = [{"build_id": str(each.entry.build_id), "why": each.why, "key": each.key} for each in due]
        print_json({"builds": builds, "faults": dict(view.faults)})
        end(view)
    if due:
        rows = ([each.entry.build_id, each.entry.toolchain, each.why] for each in due)
        print_table(("build", "toolchain", "why"), rows)
    reasons = ", ".join(f"{count} {why}" for why, count in Counter(each.why for each in due).most_common())
    note(f"{len(due)} builds are due{f' ({reasons})' if due else ''}")
    end(view)
