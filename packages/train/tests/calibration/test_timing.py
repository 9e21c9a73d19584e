"""Turns of a stopwatch whose clock is told what calls cost."""

import pytest
from fujimi_core.mesh import Mesh
from fujimi_parallel.world import World
from fujimi_train.calibration import timing
from fujimi_train.calibration.timing import Stopwatch


class Clock:
    """Moves on by what each call costs, and by a delay while there is one."""

    def __init__(self, cost_s):
        self.now = 0.0
        self.calls = 0
        self.cost_s = cost_s

    def __call__(self):
        return self.now

    def work(self):
        self.calls += 1
        self.now += self.cost_s(self.calls)


def stopwatch(clock, **options):
    return Stopwatch(world=World(rank=0, mesh=Mesh.of(dp=1)), clock=clock, **options)


# calls 12 to 22 take 1 s, others 2 s; turns have 5 calls of 2 s each, or take 10 s: 5, 5, 10, 6 and 5 calls
@pytest.mark.parametrize(("method", "median_s"), [("seconds", 2.0), ("seconds_together", 1.6)])
def test_a_call_takes_what_it_takes_in_the_best_turn(method, median_s):
    clock = Clock(lambda call: 1.0 if 12 <= call <= 22 else 2.0)
    watch = stopwatch(clock, turn_s=10.0, turns=5)
    assert getattr(watch, method)(clock.work) == pytest.approx(1.0)
    assert watch.spreads == [pytest.approx(median_s - 1)]


def test_every_measurement_is_told_before_it_begins():
    told = []
    clock = Clock(lambda _: 1.0)
    watch = stopwatch(clock, turn_s=1.0, turns=1, told=lambda: told.append(clock.calls))
    watch.seconds(clock.work)
    watch.seconds(clock.work)
    assert told[0] == 0
    assert len(told) == 2


def test_ranks_that_share_cores_get_longer_turns(monkeypatch):
    monkeypatch.setattr(timing.os, "sched_getaffinity", lambda _: {0, 1})
    own, shared = (
        timing.Stopwatch.of(World(rank=0, mesh=Mesh.of(dp=ranks), local_size=ranks)).turn_s for ranks in (2, 3)
    )
    assert shared >= 4 * own
