"""The table of docs/kernel-crawler.md is what our code answers."""

from pathlib import Path

import pytest
from benchmarks import crawlercases

DOCS = Path(__file__).parents[1] / "docs" / "kernel-crawler.md"


@pytest.mark.slow
def test_the_table_of_the_docs_is_what_is_answered_now() -> None:
    table = [
        line for line in DOCS.read_text().partition("## Where kernel-crawler is weak")[2].splitlines() if "|" in line
    ]
    assert table == list(crawlercases.markdown()), "write down `scripts/bench crawler-cases --markdown`"
