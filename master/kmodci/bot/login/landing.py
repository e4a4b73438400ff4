"""Where a browser goes once somebody has logged in: never to another site."""

import re

# of a page of the farm's own: below /kmodci, nothing that a browser could take for a host
_PAGE = re.compile(r"kmodci(/[A-Za-z0-9._~+%:=,-]+)*/?(\?[A-Za-z0-9._~+%:=,&/-]*)?")
_LONGEST = 500


def landing(wanted: str) -> str:
    """Below the web server's address: one of its own pages, or else a place in Buildbot's interface."""
    wanted = wanted[:_LONGEST]
    if _PAGE.fullmatch(wanted) and ".." not in wanted:
        return wanted
    return f"#{''.join(sign for sign in wanted if sign.isprintable())}" if wanted else ""
