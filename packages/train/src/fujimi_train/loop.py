"""The training loop of one rank."""

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from fujimi_core.data_spec import PictureSource
from fujimi_core.errors import RunError
from fujimi_core.job import Backend, Job
from fujimi_core.offers import Generator
from fujimi_core.plugins import Plugins
from fujimi_core.progress import CheckpointSaved, RunFinished, RunStarted, StepFinished, StepRejected
from fujimi_core.workload import Kernel
from fujimi_parallel.capture.compiler import compiler_left_out
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.checkpoint import Checkpoint
from fujimi_parallel.watchdog import Watchdog
from fujimi_parallel.world import World, join

from fujimi_train import checkpoint
from fujimi_train.checkpoint import Saver
from fujimi_train.data import next_batch, open_loader
from fujimi_train.device import decide_precision, device_name, device_of, measure_peak, share_cores
from fujimi_train.program import Program
from fujimi_train.signals import StopSignals
from fujimi_train.stability import Action, StabilityState, batch_of, decide

#: No rank stands still for so long that it would be told of.
_NEVER_S = 1e9
#: Beyond the watchdog's limits, after which the process group itself gives up.
_PATIENCE_S = 600.0
#: That a rank may at least take to build its network or to read a checkpoint.
_START_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What a run did.

    Args:
        steps: Of this run; 0 if an earlier one had done them all, and then nobody heard of a run.
        steps_done: By this run and those before it.
        stopped_by: Name of the signal that asked it to stop; empty if it went to the end.
    """

    steps: int
    steps_done: int
    stopped_by: str = ""


def train(job: Job, plugins: Plugins) -> Trained:
    """Train a job on the ranks that were started together with this process; go on where an earlier run stopped.

    Asked by a signal to stop, it finishes its step and saves a checkpoint first.

    Args:
        job: What to train.
        plugins: Where its model comes from, and who hears of progress.

    Raises:
        JobError: If the job does not fit its data, its plan or the ranks.
        RunError: If training diverges, a checkpoint cannot be written or read, or ranks see different ones.
    """
    model = plugins.model(job.model.name)
    backend = None if job.parallel.backend is Backend.AUTO else job.parallel.backend.value
    limit_s = job.train.hang_limit_s or _NEVER_S
    start_s = max(limit_s, _START_S)
    with (
        compiler_left_out(),  # which AdamW would import in vain, for seconds on each rank
        StopSignals() as signals,
        join(backend, timeout_s=2 * job.train.hang_limit_s + _PATIENCE_S) as world,
        Watchdog(world, limit_s=limit_s) as dog,
    ):
        with dog.doing("building the network", limit_s=start_s):
            share_cores(world)
            device = device_of(world)
            if device.type == "cuda":
                torch.cuda.set_device(device)  # on which NCCL works
            job = decide_precision(job, device)
            program = Program(job, model, world, device=device)
        with dog.doing("reading the last checkpoint", limit_s=start_s):
            steps_done, stability = checkpoint.resume(program)
        with dog.waiting("the other ranks to start", limit_s=start_s):
            _require_same_step(job, steps_done, program)
        if steps_done >= job.train.steps:
            return Trained(steps=0, steps_done=steps_done)
        dog.moved(steps_done)
        drawn = job.data.source is PictureSource.GENERATOR
        generator = plugins.generator(job.data.family) if drawn else None
        with _Batches(program, batch_of(steps_done, stability.passed_over), generator) as batches:
            peak = measure_peak(device, job.parallel.precision)
            run = _Run(program, batches, plugins, signals, dog, peak, stability, steps_done)
            reached = run.go()
    return Trained(steps=reached - steps_done, steps_done=reached, stopped_by=run.stopped_by)


class _Batches:
    """Reads the batches of a rank; nothing on a rank that looks at none.

    Args:
        program: That looks at them.
        number: Of the batch to begin with.
        generator: Of the job's family, if pictures are to be drawn.
    """

    def __init__(self, program: Program, number: int, generator: Generator | None) -> None:
        self._program = program
        axes = program.axes
        reader, readers = axes.at("dp"), axes.extent("dp")
        self._loader = (
            open_loader(program.job, reader=reader, readers=readers, first_step=number, generator=generator)
            if program.network.has_first or program.network.has_last
            else None
        )

    def __enter__(self) -> "_Batches":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._loader:
            self._loader.close()

    def read(self, number: int) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Samples and labels of a batch, any of them."""
        if self._loader is None:
            return None, None
        network, job = self._program.network, self._program.job
        if number != self._loader.step:
            self._loader.seek(number)
        samples, labels = next_batch(self._loader, job)
        return (
            torch.from_numpy(samples) if network.has_first else None,
            torch.from_numpy(labels) if network.has_last else None,
        )


@dataclass(slots=True)
class _Run:
    program: Program
    batches: _Batches
    plugins: Plugins
    signals: StopSignals
    dog: Watchdog
    peak_flops_per_s: float
    stability: StabilityState
    steps_done: int
    saver: Saver = field(init=False)
    flops_per_step: int = 0
    saved: int | None = None  # steps of the newest checkpoint
    stopped_by: str = ""

    def __post_init__(self) -> None:
        self.saver = Saver(self.program)
        self.saved = self.steps_done or None

    @property
    def world(self) -> World:
        return self.program.world

    @property
    def job(self) -> Job:
        return self.program.job

    def go(self) -> int:
        """Train to the end, or until a signal; returns the steps done."""
        started, loss = time.perf_counter(), math.nan
        if self.world.rank == 0:
            self.plugins.run_started(self._start())
        while self.steps_done < self.job.train.steps and not self.stopped_by:
            loss = self._step(self.steps_done)
            every = self.job.train.checkpoint_every
            if every and self.steps_done % every == 0:
                self._save()
        if self.saver.pending != self.steps_done and self.saved != self.steps_done:
            self._save()
        self._finish_saving()
        if self.world.rank == 0 and not self.stopped_by:
            seconds = time.perf_counter() - started
            self.plugins.run_finished(RunFinished(steps=self.steps_done, seconds=seconds, final_loss=loss))
        return self.steps_done

    def _start(self) -> RunStarted:
        return RunStarted(
            job=self.job,
            ranks=self.world.size,
            first_step=self.steps_done,
            device=device_name(self.program.device),
            peak_flops_per_s=self.peak_flops_per_s,
        )

    def _step(self, number: int) -> float:
        start = time.perf_counter()
        with self.dog.doing("reading a batch"):
            samples, labels = self.batches.read(batch_of(number, self.stability.passed_over))
        writing = self.saver.pending is not None and not self.saver.done()
        with self._counted(), self.dog.waiting("the other ranks' part of the step"):
            summary = self.program.gradients(number, samples, labels, says=(writing, self.signals.stop_asked))
            loss, norm, still_writing, stop_asked = summary.tolist()
            if self.saver.pending is not None and not still_writing:
                self._committed()
            applied = self._decided(number, loss, norm, summary[1])
        self.dog.moved(self.steps_done)
        if stop_asked:
            self.stopped_by = self.signals.asked_by or "another rank's signal"
        if applied and self.world.rank == 0:
            self._tell(number, loss, time.perf_counter() - start)
        return float(loss)

    def _decided(self, number: int, loss: float, norm: float, gradient_norm: torch.Tensor) -> bool:
        """Apply the step, or do what the job wants of a bad one; returns whether it was applied."""
        decision = decide(
            self.job.stability,
            self.stability,
            step=number,
            loss=loss,
            gradients_finite=math.isfinite(norm),
            checkpoint_step=self.saved if self.saver.pending is None else self.saver.pending,
        )
        self.stability = decision.state
        if decision.action is Action.STOP:
            self._finish_saving()  # of what was good
            raise self._diverged(decision.reason)
        if decision.reason and self.world.rank == 0:
            self.plugins.step_rejected(StepRejected(step=number + 1, reason=decision.reason))
        if decision.action is Action.ROLLBACK:
            self._finish_saving()
            _meet(self.program)  # rank 0 may be at a commit yet, of which the others knew before
            restored = Checkpoint(checkpoint.newest(checkpoint.directory_of(self.job)))
            checkpoint.restore(self.program, restored)
            self.steps_done = restored.step
            return False
        if decision.action is Action.CONTINUE:
            self.program.update(number, gradient_norm)
        self.steps_done = number + 1
        return decision.action is Action.CONTINUE

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """Count the arithmetic of the first step."""
        if self.flops_per_step:
            yield
            return
        with Recorder(self.program.plan.mesh) as recorder:
            yield
        self.flops_per_step = sum(event.flops for event in recorder.events if isinstance(event, Kernel))

    def _tell(self, number: int, loss: float, step_s: float) -> None:
        self.plugins.step_finished(
            StepFinished(
                step=number + 1,
                loss=loss,
                step_s=step_s,
                samples_per_s=self.program.plan.global_batch / step_s,
                fraction_of_peak=self.flops_per_step / step_s / self.peak_flops_per_s,
                learning_rate=self.program.rate(number),
            )
        )

    def _save(self) -> None:
        """Begin a checkpoint, but not one that is of no use."""
        self._finish_saving()
        for piece in self.program.pieces:
            if not piece.values.isfinite().all():
                raise self._diverged(f"not all of {piece.name} are finite numbers at step {self.steps_done}")
        with self.dog.doing("saving a checkpoint"):
            self.saver.start(self.steps_done, self.stability)

    def _finish_saving(self) -> None:
        """Wait until all ranks have written what they began."""
        if self.saver.pending is None:
            return
        with self.dog.doing("writing a checkpoint"):
            self.saver.wait()
        with self.dog.waiting("the other ranks' part of a checkpoint"):
            _meet(self.program)
            self._committed()
            _meet(self.program)

    def _committed(self) -> None:
        self.saved = self.saver.pending
        path = self.saver.commit()
        if path is not None and self.saved is not None:
            self.plugins.checkpoint_saved(CheckpointSaved(step=self.saved, path=path))

    def _diverged(self, what: str) -> RunError:
        return RunError(
            f"job {self.job.name!r}: training diverged: {what}; lower optimizer.learning_rate, set "
            f"optimizer.clip_norm or raise optimizer.warmup_steps, and give another name or train.out to begin anew; "
            f"or let [stability] skip such steps"
        )


def _meet(program: Program) -> None:
    """Wait for all ranks."""
    group = program.axes.everybody()
    if group is not None:
        dist.barrier(group=group)


def _require_same_step(job: Job, steps_done: int, program: Program) -> None:
    """Refuse ranks that would go on from different checkpoints."""
    group = program.axes.everybody()
    if group is None:
        return
    most = torch.tensor([steps_done, -steps_done], device=program.device)
    dist.all_reduce(most, op=dist.ReduceOp.MAX, group=group)
    last, first = most[0].item(), -most[1].item()
    if first != last:
        raise RunError(
            f"job {job.name!r}: rank {program.world.rank} goes on after step {steps_done}, others after steps {first} "
            f"to {last}; put train.out ({job.train.out}) where all nodes see the same files"
        )
