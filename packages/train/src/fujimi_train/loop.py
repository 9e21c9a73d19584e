"""The training loop of one rank."""

import math
import time
from dataclasses import dataclass

import torch
from fujimi_core.errors import RunError
from fujimi_core.job import Job
from fujimi_core.plugins import Plugins
from fujimi_core.progress import CheckpointSaved, RunFinished, RunStarted, StepFinished
from fujimi_core.workload import Kernel
from fujimi_data.loader import BatchLoader
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.collectives import of_all_ranks
from fujimi_parallel.world import World, join

from fujimi_train import checkpoint
from fujimi_train.data import next_batch, open_loader
from fujimi_train.device import decide_precision, device_name, device_of, measure_peak, share_cores
from fujimi_train.program import Program


def train(job: Job, plugins: Plugins) -> int:
    """Train a job on the ranks that were started together with this process; go on where an earlier run stopped.

    Args:
        job: What to train.
        plugins: Where its model comes from, and who hears of progress.

    Returns:
        Steps that this run did; 0 if an earlier one had done them all, and then nobody hears of a run.

    Raises:
        JobError: If the job does not fit its data or the ranks.
        RunError: If training diverges, a checkpoint cannot be written or read, or ranks see different ones.
    """
    model = plugins.model(job.model.name)
    with join() as world:
        share_cores(world)
        device = device_of(world)
        job = decide_precision(job, device)
        job.batch_on(world.size)
        program = Program(job, model, world, device=device)
        steps_done = checkpoint.resume(program)
        _require_same_step(job, of_all_ranks(steps_done, world))
        if steps_done < job.train.steps:
            with open_loader(job, world, first_step=steps_done) as loader:
                _Run(program, loader, plugins, measure_peak(device, job.train.precision)).go(steps_done)
    return job.train.steps - steps_done


@dataclass(slots=True)
class _Run:
    program: Program
    loader: BatchLoader
    plugins: Plugins
    peak_flops_per_s: float
    flops_per_step: int = 0

    @property
    def world(self) -> World:
        return self.program.world

    def go(self, steps_done: int) -> None:
        job, started, loss = self.program.job, time.perf_counter(), math.nan
        if self.world.rank == 0:
            self.plugins.run_started(self._start(steps_done))
        for number in range(steps_done, job.train.steps):
            loss = self._step(number)
            every = job.train.checkpoint_every
            if number + 1 == job.train.steps or (every and (number + 1) % every == 0):
                self._save(number + 1)
        if self.world.rank == 0:
            seconds = time.perf_counter() - started
            self.plugins.run_finished(RunFinished(steps=job.train.steps, seconds=seconds, final_loss=loss))

    def _start(self, steps_done: int) -> RunStarted:
        return RunStarted(
            job=self.program.job,
            ranks=self.world.size,
            first_step=steps_done,
            device=device_name(self.program.device),
            peak_flops_per_s=self.peak_flops_per_s,
        )

    def _step(self, number: int) -> float:
        start = time.perf_counter()
        pictures, labels = next_batch(self.loader, self.program.job)
        arguments = (number, torch.from_numpy(pictures), torch.from_numpy(labels))
        if self.flops_per_step:
            loss = self.program.step(*arguments).item()
        else:
            with Recorder() as recorder:
                loss = self.program.step(*arguments).item()
            self.flops_per_step = sum(event.flops for event in recorder.events if isinstance(event, Kernel))
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss}", number + 1)
        if self.world.rank == 0:
            self._tell(number, loss, time.perf_counter() - start)
        return loss

    def _tell(self, number: int, loss: float, step_s: float) -> None:
        samples = self.program.job.global_batch_on(self.world.size)
        self.plugins.step_finished(
            StepFinished(
                step=number + 1,
                loss=loss,
                step_s=step_s,
                samples_per_s=samples / step_s,
                fraction_of_peak=self.flops_per_step / step_s / self.peak_flops_per_s,
                learning_rate=self.program.rate(number),
            )
        )

    def _save(self, steps_done: int) -> None:
        """Replace the last checkpoint, but not by one that is of no use."""
        for name, parameter in self.program.model.named_parameters():
            if not parameter.isfinite().all():
                raise self._diverged(f"not all of {name} are finite numbers", steps_done)
        if self.world.rank == 0:
            path = checkpoint.save(self.program, steps_done)
            self.plugins.checkpoint_saved(CheckpointSaved(step=steps_done, path=path))

    def _diverged(self, what: str, step: int) -> RunError:
        job = self.program.job
        return RunError(
            f"job {job.name!r}: training diverged, {what} at step {step}; lower optimizer.learning_rate, set "
            f"optimizer.clip_norm or raise optimizer.warmup_steps, and give another name or train.out to begin anew"
        )


def _require_same_step(job: Job, steps_done: list[int]) -> None:
    """Refuse ranks that would go on from different checkpoints."""
    for rank, steps in enumerate(steps_done):
        if steps != steps_done[0]:
            raise RunError(
                f"job {job.name!r}: rank 0 goes on after step {steps_done[0]}, rank {rank} after step {steps}; "
                f"put train.out ({job.train.out}) where all nodes see the same files"
            )
