"""The cells of a row of builds, as HTML: a template takes forty times as long for each, and there are thousands."""

from collections.abc import Mapping
from urllib.parse import quote

from markupsafe import Markup, escape

from ...coveragetable import Cell, Row

_CAUSE = 120


def cells(row: Row, builds: str, suffix: str, signs: Mapping[str, str]) -> Markup:
    """builds: where the pages of builds are; suffix: of their addresses; signs: by state.

    Everything is escaped here: a cause is what a module's compiler said.
    """
    return Markup("").join(_cell(cell, builds, suffix, signs) if cell else _EMPTY for cell in row.cells)


_EMPTY = Markup("<td></td>")


def _cell(cell: Cell, builds: str, suffix: str, signs: Mapping[str, str]) -> Markup:
    address = escape(f"{builds}{cell.target}/{quote(cell.release, safe='')}{suffix}")
    told = escape(f"{cell.release} {cell.state}{', gone' if cell.is_gone else ''}")
    kind = f"cell is-{cell.state.replace(' ', '-')}{' is-gone' if cell.is_gone else ''}"
    title = f' title="{told}: {escape(cell.cause[:_CAUSE])}"' if cell.cause else ""
    # S704: each part is either escaped above, or a word of our own
    return Markup(f'<td><a class="{kind}" href="{address}" aria-label="{told}"{title}>{signs[cell.state]}</a></td>')  # noqa: S704
