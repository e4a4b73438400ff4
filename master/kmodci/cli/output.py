"""How commands print: a table or a list for people, JSON for programs, notes beside it on stderr."""

import json
from collections.abc import Iterable, Mapping, Sequence

import click
from rich.console import Console
from rich.table import Table

# A terminal's width folds cells; a file or a pipe gets each row on one line.
_WIDE = 250


def print_json(data: object) -> None:
    """data: mappings, lists, text, numbers, None."""
    click.echo(json.dumps(data, indent=1))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """right: the columns with numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console = Console(highlight=False, markup=False, width=_WIDE)
    console.print(table)


def print_facts(facts: Mapping[str, object], *, width: int = 11) -> None:
    """`name       value` lines; a value with several lines is indented, an empty one left out."""
    for name, value in facts.items():
        lines = str(value).splitlines()
        for number, line in enumerate(lines):
            click.echo(f"  {name if not number else '':<{width}}{line}")


def note(text: str) -> None:
    """Something beside the answer."""
    click.echo(text, err=True)
