"""A run, from one thing that happens to the next: failures, warnings, the end."""

from fujimi_core.errors import JobError

from fujimi_sim.run import timeline
from fujimi_sim.run.costs import Costs, StepTime, step_time
from fujimi_sim.run.fate import Fate
from fujimi_sim.run.outcome import Outcome
from fujimi_sim.run.spec import OnFailure, RunSpec
from fujimi_sim.run.timeline import Pace, Trained

#: Starts in a row that save nothing, after which a run is given up.
_PATIENCE = 10_000


def run(spec: RunSpec, costs: Costs, fate: Fate) -> Outcome:
    """Go through a run.

    The job is submitted; data are staged; ranks start, read the last checkpoint and train. When a node fails, all ranks
    start again, until no restart is left or the scheduler warns: then the job is submitted again. The time until the
    next failure counts from each start.

    Args:
        spec: What is asked for.
        costs: What its parts take.
        fate: What chance does to it.

    Raises:
        JobError: If it would never end, or so late that nobody waits for it.
    """
    _require_an_end(spec, costs, fate)
    return _Run(spec, costs, fate).go()


def _require_an_end(spec: RunSpec, costs: Costs, fate: Fate) -> None:
    start_s = costs.stage_s + costs.launch_s[1] + costs.start_s + costs.restore_s
    if start_s >= spec.warned_s:
        raise JobError(
            f"staging and start take {start_s:,.0f} s, but the scheduler warns after {spec.warned_s:,.0f} s: no step "
            "would be done; raise submit.time_limit_s"
        )
    if fate.can_hang and not spec.hang_limit_s:
        raise JobError("a rank that hangs would never be noticed; set train.hang_limit_s above 0")


class _Run:
    """State of a run between the things that happen."""

    def __init__(self, spec: RunSpec, costs: Costs, fate: Fate) -> None:
        self._spec = spec
        self._costs = costs
        self._fate = fate
        self._saved = 0
        self._in_vain = 0
        self._spares = spec.spares
        self._groups = spec.groups
        self._restage_s = 0.0
        self._outcome = Outcome()

    def go(self) -> Outcome:
        """Submit the job until it is done."""
        while not self._submission():
            self._outcome.waiting_s += self._spec.wait_s
        return self._outcome

    def _submission(self) -> bool:
        """Hold nodes, and start again after failures; returns whether the run is done."""
        spec, outcome = self._spec, self._outcome
        self._spares, self._groups = spec.spares, spec.groups
        self._restage_s = self._costs.stage_s
        self._fate.replace_dropped_nodes()
        outcome.submissions += 1
        began_s = outcome.held_s
        starts = 0
        while spec.restarts is None or starts <= spec.restarts:
            starts += 1
            failed = self._attempt(began_s + spec.warned_s - outcome.held_s)
            if self._saved == spec.steps:
                return True
            if not failed:
                return False
            self._mend()
        return False

    def _attempt(self, warned_s: float) -> bool:
        """Start all ranks and train; returns whether something failed."""
        self._in_vain += 1
        if self._in_vain > _PATIENCE:
            raise JobError(
                f"{_PATIENCE:,} starts in a row failed before a checkpoint was whole, after step {self._saved:,}; set "
                "train.checkpoint_every lower, or use fewer nodes"
            )
        failure_s = self._fate.failure_s(self._spec.nodes_of(self._groups))
        started_s = self._start(failure_s)
        if started_s >= failure_s:
            return True
        step = step_time(self._costs, delay_s=self._fate.delay_s(), groups=self._spec.groups, groups_left=self._groups)
        pace = Pace(
            steps=self._spec.steps,
            step_s=step.total_s,
            every=self._spec.checkpoint_every,
            copy_s=self._costs.copy_s,
            write_s=self._costs.write_s,
        )
        trained = timeline.finished(pace, self._saved)
        if warned_s - started_s < trained.elapsed_s:
            trained = timeline.warned(pace, self._saved, max(0.0, warned_s - started_s))
        failed = failure_s - started_s < trained.elapsed_s
        if failed:
            trained = timeline.failed(pace, self._saved, failure_s - started_s)
        self._account(trained, step)
        return failed

    def _start(self, failure_s: float) -> float:
        """Come to the first step, or to a failure on the way there; returns how long it took."""
        costs, outcome, left_s = self._costs, self._outcome, failure_s
        phases = {
            "staging_s": self._restage_s,
            "launch_s": self._fate.between_s(*costs.launch_s),
            "start_s": costs.start_s,
            "restore_s": costs.restore_s if self._saved else 0.0,
        }
        for name, phase_s in phases.items():
            spent_s = min(phase_s, left_s)
            setattr(outcome, name, getattr(outcome, name) + spent_s)
            left_s -= spent_s
        if failure_s > self._restage_s:
            self._restage_s = 0.0
        return min(sum(phases.values()), failure_s)

    def _account(self, trained: Trained, step: StepTime) -> None:
        outcome, kept = self._outcome, trained.saved - self._saved
        outcome.steps_s += kept * step.even_s
        outcome.stragglers_s += kept * step.stragglers_s
        outcome.reading_s += kept * step.reading_s
        outcome.checkpoints_s += trained.checkpoint_s
        outcome.lost_s += trained.lost_s
        if kept:
            self._in_vain = 0
        self._saved = trained.saved

    def _mend(self) -> None:
        """Notice that a node failed, and do something about it."""
        self._outcome.failures += 1
        if self._fate.hangs():
            self._outcome.detection_s += self._spec.hang_limit_s
        if self._spares:
            self._spares -= 1
            self._fate.replace_node()
            self._restage_s = self._restage_s or self._costs.stage_one_s
        elif self._spec.on_failure is OnFailure.SHRINK and self._groups > self._spec.groups_of_node:
            self._groups -= self._spec.groups_of_node
            self._fate.drop_node()
