from kmodci.lastwords import LastWords


def test_what_is_said_is_passed_on_and_why_it_ended_is_kept() -> None:
    heard: list[bytes] = []
    words = LastWords(heard.append)
    assert words.line == ""
    for data in (b"CC x.o\nerr", b"or: one\nexcluded: tw", b"o\n\nerror: th", b"ree"):
        words.hear(data)
    assert b"".join(heard) == b"CC x.o\nerror: one\nexcluded: two\n\nerror: three"
    assert words.line == "excluded: two"
    words.hear(b" \xff\n")
    assert words.line == "error: three \N{REPLACEMENT CHARACTER}"


def test_a_line_without_an_end_takes_no_room() -> None:
    words = LastWords()
    for _ in range(100):
        words.hear(b"x" * 1000)
    words.hear(b"\nerror: " + b"y" * 10_000 + b"\n")
    assert len(words.line) == 2000
