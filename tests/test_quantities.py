import pytest
from kmodci.quantities import age_text, duration_text, growing, seconds, size, size_text


@pytest.mark.parametrize(("text", "amount"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2d", 172800)])
def test_durations(text: str, amount: int) -> None:
    assert seconds(text) == amount


@pytest.mark.parametrize("text", ["", "30", "1.5h", "30 m", "m", "-5m", "soon"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)


@pytest.mark.parametrize(
    ("text", "amount"), [("512MiB", 512 << 20), ("2GiB", 2 << 30), ("20 KiB", 20 << 10), ("7B", 7)]
)
def test_sizes(text: str, amount: int) -> None:
    assert size(text) == amount


@pytest.mark.parametrize("text", ["", "2", "2GB", "2G", "1.5GiB", "-1MiB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="not a size"):
        size(text)


def test_a_pause_grows_up_to_the_longest_however_often() -> None:
    assert [growing(10.0, times, 60.0) for times in (1, 2, 3, 4, 1025, 10**9)] == [10, 20, 40, 60, 60, 60]


def test_amounts_for_people() -> None:
    assert [duration_text(amount) for amount in (0, 0.4, 59.6, 5400, 90061)] == ["0s", "0s", "1m", "1h30m", "1d1h1m1s"]
    assert [age_text(amount) for amount in (0, 119, 120, 7199, 7300, 172_799, 172_800, 9e6)] == [
        *("0s", "119s", "2m", "119m", "2h", "47h", "2d", "104d"),
    ]
    assert [size_text(amount) for amount in (0, 1023, 2 << 30, (3 << 20) + 5)] == ["0B", "1023B", "2GiB", "3MiB"]
