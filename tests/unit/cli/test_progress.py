import pytest

from assay.cli.progress import Count, duration


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.000042, "<1 ms"),
        (0.0301, "30 ms"),
        (0.9999, "1.0 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (59.6, "1 min 0 s"),
        (7805, "2 h 10 min"),
    ],
)
def test_durations_are_said_as_a_person_would(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_progress_says_what_failed_how_fast_and_how_long_still() -> None:
    assert Count(total=240, done=120, failed=2, seconds=2.0).text == "120 of 240 items, 2 failed, 60/s, 2.0 s left"
    assert Count(total=240, done=0, failed=0, seconds=1.0).text == "0 of 240 items, 0/s"
    assert Count(total=240, done=240, failed=0, seconds=2.0).text == "240 of 240 items, 120/s"


def test_slow_items_have_a_rate_of_their_own_too() -> None:
    assert Count(total=9, done=2, failed=0, seconds=5.0).text.startswith("2 of 9 items, 0.4/s")
    assert Count(total=900, done=530, failed=0, seconds=10.0).text.startswith("530 of 900 items, 53/s")
