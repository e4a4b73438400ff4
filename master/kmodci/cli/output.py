"""How commands print: a table or a list for people, JSON for programs, notes beside it on stderr."""

import json
from collections.abc import Iterable, Mapping, Sequence

import click


def print_json(data: object) -> None:
    """data: mappings, lists, text, numbers, None."""
    click.echo(json.dumps(data, indent=1))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """One line a row, whatever the terminal's width, so that `grep` and `cut` work on it. right: columns of numbers."""
    table = [[*columns], *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for number, row in enumerate(table):
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for cell, width, column in zip(row, widths, columns, strict=True)
        ]
        click.secho("  ".join(cells).rstrip(), bold=number == 0)


def print_facts(facts: Mapping[str, object], *, width: int = 11, err: bool = False) -> None:
    """`name       value` lines; a value with several lines is indented, an empty one left out. err: on stderr."""
    for name, value in facts.items():
        for number, line in enumerate(str(value).splitlines()):
            click.echo(f"  {name if number == 0 else '':<{width}}{line}", err=err)


def note(text: str) -> None:
    """Something beside the answer."""
    click.echo(text, err=True)
