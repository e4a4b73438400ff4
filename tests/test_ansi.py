"""A log that is fit for a page."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kmodci.ansi import last_lines, plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[01m\x1b[Kmain.c:\x1b[m\x1b[K error", "main.c: error"),
        ("\x1b]0;title\x07ok \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "ok link"),
        ("\x1b(B\x1bMdone", "done"),
        ("10 %\r50 %\r100 %\nend\r\n", "100 %\nend\n"),
        ("bell\x07 nul\x00 tab\t.", "bell nul tab\t."),
        # text that reads backwards would hide what it says
        ("a\u202eb\u2066c", "abc"),
        ("<script>alert(1)</script> \u2018x\u2019", "<script>alert(1)</script> \u2018x\u2019"),
    ],
)
def test_what_a_terminal_would_act_on_is_gone(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
def test_nothing_is_left_that_a_terminal_acts_on(text: str) -> None:
    assert not [each for each in plain_text(text) if ord(each) < 32 and each not in "\t\n"]


def test_of_a_long_text_the_end_is_kept() -> None:
    text = "\n".join(f"line {number}" for number in range(100))
    assert last_lines(text, lines=2, characters=1000) == ("line 98\nline 99", 98)
    assert last_lines(text, lines=100, characters=17) == ("line 98\nline 99", 98)
    assert last_lines(text, lines=1000, characters=10_000) == (text, 0)
    assert last_lines("", lines=5, characters=5) == ("", 0)
