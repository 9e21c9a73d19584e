"""A run the long way: every step, checkpoint and failure is an event of SimPy.

It says in loops and waits what `jump` says in arithmetic, and must agree with it; it is for small runs.
"""

import math
from collections.abc import Generator, Iterator
from typing import Any

import simpy

from fujimi_sim.run.costs import Costs, StepTime, step_time
from fujimi_sim.run.fate import Fate
from fujimi_sim.run.outcome import Outcome
from fujimi_sim.run.spec import OnFailure, RunSpec

_Process = Generator[simpy.Event, Any, Any]


def run_step_by_step(spec: RunSpec, costs: Costs, fate: Fate) -> Outcome:
    """Go through a run as `jump.run` does, one step at a time.

    Args:
        spec: What is asked for; it must be able to end.
        costs: What its parts take.
        fate: What chance does to it.
    """
    env = simpy.Environment()
    job = _Job(env, spec, costs, fate)
    env.run(until=env.process(job.run()))
    return job.outcome


class _Job:
    """The scheduler's side: submissions, starts of all ranks, failures."""

    def __init__(self, env: simpy.Environment, spec: RunSpec, costs: Costs, fate: Fate) -> None:
        self.env, self.spec, self.costs, self.fate = env, spec, costs, fate
        self.outcome = Outcome()
        self.saved = 0

    def run(self) -> _Process:
        """Submit until all steps are saved."""
        yield from self.submission()
        while self.saved < self.spec.steps:
            yield from self.spend("waiting_s", self.spec.wait_s)
            yield from self.submission()

    def submission(self) -> _Process:
        """Start ranks, and again after each failure."""
        self.outcome.submissions += 1
        self.fate.replace_dropped_nodes()
        warning_at_s = self.env.now + self.spec.warned_s
        spares, groups, stage_s = self.spec.spares, self.spec.groups, self.costs.stage_s
        for _ in self.tries():
            ranks = _Ranks(self, groups, stage_s, warning_at_s)
            process = self.env.process(ranks.run())
            self.env.process(_fail(self.env, process, self.fate.failure_s(self.spec.nodes_of(groups))))
            yield process
            if not ranks.failed:
                return
            self.outcome.failures += 1
            if self.fate.hangs():
                yield from self.spend("detection_s", self.spec.hang_limit_s)
            stage_s = 0.0 if ranks.staged else stage_s
            if spares:
                spares -= 1
                self.fate.replace_node()
                stage_s = stage_s or self.costs.stage_one_s
            elif self.spec.on_failure is OnFailure.SHRINK and groups > self.spec.groups_of_node:
                groups -= self.spec.groups_of_node
                self.fate.drop_node()

    def tries(self) -> Iterator[int]:
        """As many as there are restarts, and the first."""
        start = 0
        while self.spec.restarts is None or start <= self.spec.restarts:
            yield start
            start += 1

    def spend(self, name: str, seconds: float) -> _Process:
        """Let time pass and write down on what, also when it is cut short."""
        began_s = self.env.now
        try:
            yield self.env.timeout(seconds)
        finally:
            setattr(self.outcome, name, getattr(self.outcome, name) + self.env.now - began_s)


class _Ranks:
    """All ranks from one start to its end."""

    def __init__(self, job: _Job, groups: int, stage_s: float, warning_at_s: float) -> None:
        self.job, self.groups, self.stage_s, self.warning_at_s = job, groups, stage_s, warning_at_s
        self.failed = self.staged = False
        self.done = job.saved
        self.ledger: list[tuple[str, int, float]] = []  # what was spent on, for which step, seconds
        self.saving = -1
        self.writing: simpy.Process | None = None

    def run(self) -> _Process:
        """Start, train, and settle what was in vain."""
        job = self.job
        began_s = math.nan
        first = job.saved
        launch_s = job.fate.between_s(*job.costs.launch_s)
        try:
            yield from job.spend("staging_s", self.stage_s)
            self.staged = True
            yield from job.spend("launch_s", launch_s)
            yield from job.spend("start_s", job.costs.start_s)
            if job.saved:
                yield from job.spend("restore_s", job.costs.restore_s)
            began_s = job.env.now
            yield from self.train()
        except simpy.Interrupt:
            self.failed = True
            if self.writing and self.writing.is_alive:
                self.writing.interrupt()
        if not math.isnan(began_s):
            self.settle(first, job.env.now - began_s)

    def train(self) -> _Process:
        """Take steps and save, as `fujimi_train.loop` does."""
        spec, env = self.job.spec, self.job.env
        step = step_time(self.job.costs, delay_s=self.job.fate.delay_s(), groups=spec.groups, groups_left=self.groups)
        is_warned = False
        while self.done < spec.steps and not is_warned:
            yield env.timeout(step.total_s)
            self.done += 1
            self.note(step)
            is_warned = env.now >= self.warning_at_s
            if spec.checkpoint_every and self.done % spec.checkpoint_every == 0:
                yield from self.save()
        if self.writing is None or self.saving != self.done:
            yield from self.save()
        yield from self.wait_for_writing()

    def note(self, step: StepTime) -> None:
        """Write down a step."""
        self.ledger += [
            ("steps_s", self.done, step.even_s),
            ("stragglers_s", self.done, step.stragglers_s),
            ("reading_s", self.done, step.reading_s),
        ]

    def save(self) -> _Process:
        """Wait for the checkpoint before, copy, and begin to write."""
        yield from self.wait_for_writing()
        yield self.job.env.timeout(self.job.costs.copy_s)
        self.ledger.append(("checkpoints_s", self.done, self.job.costs.copy_s))
        self.saving = self.done
        self.writing = self.job.env.process(self.write(self.done))

    def wait_for_writing(self) -> _Process:
        """Stand still until nothing is being written."""
        began_s = self.job.env.now
        if self.writing and self.writing.is_alive:
            yield self.writing
        self.ledger.append(("checkpoints_s", self.done, self.job.env.now - began_s))

    def write(self, step: int) -> _Process:
        """Make a checkpoint whole, unless all ranks end first."""
        try:
            yield self.job.env.timeout(self.job.costs.write_s)
            self.job.saved = step
        except simpy.Interrupt:
            pass

    def settle(self, first: int, elapsed_s: float) -> None:
        """What is in a checkpoint counts; the rest is lost."""
        kept = [entry for entry in self.ledger if first < entry[1] <= self.job.saved]
        for name, _, seconds in kept:
            setattr(self.job.outcome, name, getattr(self.job.outcome, name) + seconds)
        self.job.outcome.lost_s += elapsed_s - sum(seconds for _, _, seconds in kept)


def _fail(env: simpy.Environment, ranks: simpy.Process, after_s: float) -> _Process:
    """End all ranks after some time, if they are still there."""
    if math.isfinite(after_s):
        yield env.timeout(after_s)
        if ranks.is_alive:
            ranks.interrupt()
