"""A run's report in words."""

import pytest
from fujimi_sim.run.report import Spread
from fujimi_sim.run.text import duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0 s"),
        (99.9, "99.9 s"),
        (120.0, "2.0 min"),
        (7_199.0, "120.0 min"),
        (7_200.0, "2.0 h"),
        (1e6, "11.6 days"),
    ],
)
def test_times_are_written_in_the_unit_that_people_would_choose(seconds: float, written: str) -> None:
    assert duration(seconds) == written


def test_percentiles_lie_between_the_runs() -> None:
    spread = Spread.of([float(value) for value in range(101)])
    assert spread == Spread(mean=50.0, p5=5.0, p50=50.0, p95=95.0)
    assert Spread.of([7.0]) == Spread(mean=7.0, p5=7.0, p50=7.0, p95=7.0)
