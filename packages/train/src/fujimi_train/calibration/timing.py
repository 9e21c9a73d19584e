"""How long something takes, in several turns, while all ranks of the node do the same."""

import os
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from fujimi_parallel.world import World

#: Of all turns of a measurement together.
BUDGET_S = 0.5
#: Where ranks have cores of their own, the shorter the turns, the more likely is one that nothing disturbs. Where they
#: share them, each rank gets one for some milliseconds, and a turn has to have many of those.
_TURNS, _TURNS_SHARED = 25, 5
#: Results that are kept at a time.
_MOST_KEPT = 100


@dataclass(slots=True, kw_only=True)
class Stopwatch:
    """Times calls on all ranks at once.

    Other programs can only delay a turn, so the best counts; where ranks share cores, it is the one in which a rank had
    more than its share, and the median counts.

    Args:
        world: The ranks.
        turns: Of each measurement, about.
        turn_s: Least length of a turn.
        shares_cores: Whether there are fewer cores than ranks.
        clock: Tells the time [s].
        spreads: By how much the median turn was longer than the best, of each measurement so far.
    """

    world: World
    turns: int
    turn_s: float
    shares_cores: bool = False
    clock: Callable[[], float] = time.perf_counter
    spreads: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, world: World) -> "Stopwatch":
        """One that suits how many ranks share how many cores."""
        shares_cores = world.local_size > len(os.sched_getaffinity(0))
        turns = _TURNS_SHARED if shares_cores else _TURNS
        return cls(world=world, turns=turns, turn_s=BUDGET_S / turns, shares_cores=shares_cores)

    def seconds(self, call: Callable[[], object], *, is_kept: bool = False, budgets: int = 1) -> float:
        """Time of one call on a rank, mean over the ranks.

        Ranks begin together and stop at the same time, however many calls each has done; the last turn, which others
        may have stopped before, does not count.

        Args:
            call: What is timed.
            is_kept: Whether what it returns is kept until the turn ends, and let go then.
            budgets: How many times as long as others it may take, as it needs if a call is longer than a turn.
        """
        call()
        self._meet()
        start, found = self.clock(), [self._turn(call, is_kept)]
        while self.clock() - start < budgets * self.turns * self.turn_s:
            found.append(self._turn(call, is_kept))
        return self._agreed(found[:-1] or found)

    def seconds_together(self, call: Callable[[], object]) -> float:
        """Time of one call in which ranks wait for each other, so that all must call it as often."""
        call()
        self._meet()
        once_s = self._mean(self._calls(call, 2) / 2)
        calls = max(1, round(self.turn_s / once_s))
        return self._agreed([self._calls(call, calls) / calls for _ in range(self.turns)])

    def _turn(self, call: Callable[[], object], is_kept: bool) -> float:
        start, calls = self.clock(), 0
        kept: deque[object] = deque(maxlen=_MOST_KEPT if is_kept else 0)
        while self.clock() - start < self.turn_s or not calls:
            kept.append(call())
            calls += 1
        kept.clear()
        return (self.clock() - start) / calls

    def _calls(self, call: Callable[[], object], number: int) -> float:
        start = self.clock()
        for _ in range(number):
            call()
        return self.clock() - start

    def _agreed(self, turns: list[float]) -> float:
        best, median = min(turns), statistics.median(turns)
        self.spreads.append(median / best - 1)
        return self._mean(median if self.shares_cores else best)

    def _mean(self, seconds: float) -> float:
        if self.world.size == 1:
            return seconds
        total = torch.tensor(seconds, dtype=torch.float64)
        dist.all_reduce(total)
        return float(total) / self.world.size

    def _meet(self) -> None:
        if self.world.size > 1:
            dist.barrier()
