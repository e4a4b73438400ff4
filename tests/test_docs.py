"""What the README says of the command line is true, and all of it."""

import re
from pathlib import Path

import click
from kmodci.cli import kmodci

README = (Path(__file__).parents[1] / "README.md").read_text()


def commands(group: click.Group, *path: str) -> list[str]:
    """`check`, `index rebuild` and so on."""
    context = click.Context(group)
    found: list[str] = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found += commands(command, *path, name) if isinstance(command, click.Group) else [" ".join((*path, name))]
    return found


def test_every_command_is_in_the_table_of_the_readme_and_no_other() -> None:
    table = README.partition("## The command line")[2].partition("\n## ")[0]
    named = re.findall(r"^\| `([a-z0-9 -]+?)(?: [A-Z_]+)?` \|", table, re.MULTILINE)
    assert sorted(named) == sorted(commands(kmodci))


def test_every_option_of_the_first_start_exists() -> None:
    up = kmodci.get_command(click.Context(kmodci), "up")
    assert up is not None
    named = re.findall(r"^\| `(--[a-z]+)", README.partition("## Try it")[2].partition("\n## ")[0], re.MULTILINE)
    assert {"--all", "--once"} <= set(named) <= {option for parameter in up.params for option in parameter.opts}


def test_every_test_that_the_page_on_security_names_exists() -> None:
    tests = Path(__file__).parent
    page = (tests.parent / "docs" / "security.md").read_text()
    table = page.partition("| where it is tried |")[2].partition("\n## ")[0]
    found = re.findall(r"`([a-z_/]+\.py)((?:::\w+)*)`", table)
    assert len(found) > 60
    missing = []
    for file, names in found:
        place = tests / ("integration/test_attacks.py" if file == "test_attacks.py" else file)
        if not place.is_file() or not all(name in place.read_text() for name in names.split("::")):
            missing.append(file + names)
    assert missing == []


def test_no_token_is_written_where_others_may_read_it() -> None:
    """Under a usual umask that file would have mode 0644, which --token-file refuses."""
    root = Path(__file__).parents[1]
    places = [root / "README.md", *(root / "docs").rglob("*.md"), *(root / "master" / "kmodci" / "cli").glob("*.py")]
    lines = [line for place in places for line in place.read_text().splitlines()]
    written = [line.strip() for line in lines if re.search(r"token add [^|]*>", line)]
    assert len(written) >= 4
    assert [line for line in written if not line.startswith("(umask 077; ")] == []
