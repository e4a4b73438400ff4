"""A log that is kept by lines and read by bytes."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from kmodci import logtext
from kmodci.logtext import Index

LINES = st.lists(st.text(alphabet="aé€\U0001f600 ", max_size=12), max_size=30)


@given(LINES, st.lists(st.integers(0, 30)), st.integers(0, 300), st.integers(1, 60))
def test_a_piece_is_that_of_the_whole_however_it_grew(
    lines: list[str], grows: list[int], offset: int, limit: int
) -> None:
    whole, index, reads = "".join(f"{line}\n" for line in lines).encode(), Index(), []

    async def read(first: int, count: int) -> str:
        reads.append(count)
        assert first + count <= len(lines)
        return "".join(f"{line}\n" for line in lines[first : first + count])

    async def work() -> bytes:
        for known in [*sorted(min(each, len(lines)) for each in grows), len(lines)]:
            await index.grow(known, read)
        return await index.read(offset, limit, read)

    before = logtext.PAGE
    logtext.PAGE = 4
    try:
        found = asyncio.run(work())
    finally:
        logtext.PAGE = before
    assert (found, index.size) == (whole[offset : offset + limit], len(whole))
    assert all(count <= 4 for count in reads)
