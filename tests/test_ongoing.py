from kmodci.ongoing import Ongoing


def test_what_was_done_since_and_what_was_being_done_then() -> None:
    ongoing: Ongoing[str] = Ongoing()
    for name in ("before", "twice", "twice", "during"):
        ongoing.begin(name)
    for name in ("before", "twice"):
        ongoing.end(name)
    ongoing.look()
    ongoing.begin("since")
    for name in ("since", "during", "twice"):
        ongoing.end(name)
    assert {name for name in ("before", "twice", "during", "since", "never") if name in ongoing} == {
        "twice",
        "during",
        "since",
    }
    ongoing.look()
    assert "during" not in ongoing
