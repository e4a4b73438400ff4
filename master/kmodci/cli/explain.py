"""`kmodci explain`: why a build is what it is."""

from collections.abc import Sequence

import click

from ..errors import NotFound
from ..model import Target
from ..release import check_release
from ..search import find_kernel
from ..told import KernelTold
from ..uname import parse
from .answers import Answers, Explained, end
from .completing import complete_builds
from .options import answers_option, json_option
from .output import note, print_facts, print_json, print_table

# a farm is asked for each
_MOST = 50


@click.command()
@click.argument("what", nargs=-1, required=True, metavar="BUILD_ID|KERNEL", shell_complete=complete_builds)
@answers_option()
@json_option
def explain(what: tuple[str, ...], answers: Answers, as_json: bool) -> None:
    """Say why a build is built, failed, skipped, unavailable or pending, and what it is made of.

    Of a KERNEL, what `uname -r` or all of `uname -a` prints, the builds of every module: 50, and it says so if there
    are more. With --json, these are named in `left_out`.

    \b
    kmodci explain v4l2loopback/debian-bookworm-amd64/6.1.0-56-amd64
    kmodci explain 6.1.0-56-amd64
    kmodci explain $(uname -a) --server https://farm.example.com/
    """
    text = " ".join(what)
    if len(what) == 1 and text.count("/") > 1:
        found = answers.explain(text)
        if as_json:
            print_json(found.plain())
        else:
            _tell(found)
        end(answers)
    chosen = _kernels(text, answers.kernels(whole=True))
    names = {f"{each.target}/{each.release}" for each in chosen}
    builds = [each.name for each in answers.builds() if each.name.partition("/")[2] in names]
    explained, left_out = [answers.explain(name) for name in builds[:_MOST]], builds[_MOST:]
    if left_out:
        note(f"{len(left_out)} builds more are not told: name a target and release, or a build id; as {left_out[0]}")
    if as_json:
        told = [each.plain() for each in explained]
        print_json({"kernels": sorted(names), "builds": told, "left_out": left_out})
        end(answers)
    if not explained:
        note(
            f"no module is built for {', '.join(sorted(names))}: the scope, or `kernels:` of each module, leaves it out"
        )
    elif len(explained) == 1:
        _tell(explained[0])
    else:
        print_table(("build", "status", "why"), [(each.build_id, each.status, each.why) for each in explained])
        note("`kmodci explain` with one of these build ids tells all of it")
    end(answers)


def _tell(found: Explained) -> None:
    click.echo(f"{found.build_id}: {found.status}")
    facts = found.plain()
    print_facts({name: facts[name] for name in facts if name not in ("build_id", "status")})


def _kernels(text: str, known: Sequence[KernelTold]) -> list[KernelTold]:
    """The kernels that are meant. Raises BadName for what names none, NotFound with the nearest."""
    by_name = {f"{each.target}/{each.release}": each for each in known}
    target, slash, release = text.partition("/")
    if slash and " " not in text:
        name = f"{Target.parse(target)}/{check_release(release)}"
        return [find_kernel(name, by_name, among="is known")]
    meant = parse(text)
    found = [each for each in known if each.release == meant.release]
    chosen = [each for each in found if meant.arch in ("", each.target.rpartition("-")[2])]
    if not found:
        find_kernel(meant.release, by_name, among="is known")
    if not chosen:
        there = ", ".join(f"{each.target}/{each.release}" for each in found)
        raise NotFound(f"no kernel {meant.release} of {meant.arch} is known", hint=f"there is: {there}")
    return chosen
