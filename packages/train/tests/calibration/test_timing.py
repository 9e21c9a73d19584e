"""Turns of a stopwatch whose clock is told what calls cost."""

import weakref

import pytest
from fujimi_core.mesh import Mesh
from fujimi_parallel.world import World
from fujimi_train.calibration import timing
from fujimi_train.calibration.timing import Stopwatch


class Clock:
    """Moves on by what each call costs."""

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
    return Stopwatch(world=World(rank=0, mesh=Mesh.of(dp=1)), clock=clock, **{"turn_s": 10.0, "turns": 5} | options)


# The first call does not count. Of those after it, 12 to 21 take 1 s and others 2 s: turns of 10 s have 5, 5, 10, 5
# and 5 calls.
@pytest.mark.parametrize(("shares_cores", "expected_s"), [(False, 1.0), (True, 2.0)])
def test_best_turn_counts_or_the_median_where_ranks_share_cores(shares_cores, expected_s):
    clock = Clock(lambda call: 1.0 if 12 <= call <= 21 else 2.0)
    watch = stopwatch(clock, shares_cores=shares_cores)
    assert watch.seconds(clock.work) == pytest.approx(expected_s)
    assert watch.spreads == [pytest.approx(1.0)]


def test_last_turn_does_not_count_since_others_may_have_stopped():
    clock = Clock(lambda call: 1.0 if call > 11 else 2.0)  # from the third turn on, which is the last
    assert stopwatch(clock, turns=2.5).seconds(clock.work) == pytest.approx(2.0)


def test_ranks_that_wait_for_each_other_call_as_often():
    # 3 calls to find out that one takes 2 s, then 5 turns of 5; the third is undisturbed
    clock = Clock(lambda call: 1.0 if 14 <= call <= 18 else 2.0)
    watch = stopwatch(clock)
    assert watch.seconds_together(clock.work) == pytest.approx(1.0)
    assert clock.calls == 3 + 5 * 5


def test_what_is_kept_lives_until_the_turn_ends():
    class Result:
        pass

    alive, most = weakref.WeakSet(), []
    clock = Clock(lambda _: 1.0)

    def work():
        clock.work()
        result = Result()
        alive.add(result)
        most.append(len(alive))
        return result

    stopwatch(clock, turns=1).seconds(work, is_kept=True)
    assert max(most) == 10
    most.clear()
    stopwatch(clock, turns=1).seconds(work)
    assert max(most) <= 2


def test_ranks_that_share_cores_get_longer_turns(monkeypatch):
    monkeypatch.setattr(timing.os, "sched_getaffinity", lambda _: {0, 1})
    own, shared = (Stopwatch.of(World(rank=0, mesh=Mesh.of(dp=ranks), local_size=ranks)) for ranks in (2, 3))
    assert shared.turn_s >= 5 * own.turn_s
    assert (own.shares_cores, shared.shares_cores) == (False, True)
