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
from fujimi_parallel.world import World, join

from fujimi_train import checkpoint
from fujimi_train.data import open_loader
from fujimi_train.device import decide_precision, device_name, device_of, measure_peak, share_cores
from fujimi_train.program import Program


def train(job: Job, plugins: Plugins) -> None:
    """Train a job on the ranks that were started together with this process; go on where an earlier run stopped.

    Args:
        job: What to train.
        plugins: Where its model comes from, and who hears of progress.

    Raises:
        JobError: If the job does not fit its data or the ranks.
        RunError: If the loss is no number, or a checkpoint cannot be written or read.
    """
    model = plugins.model(job.model.name)
    with join() as world:
        share_cores(world)
        device = device_of(world)
        job = decide_precision(job, device)
        job.batch_on(world.size)
        program = Program(job, model, world, device=device)
        steps_done = checkpoint.resume(program)
        with open_loader(job, world, first_step=steps_done) as loader:
            _Run(program, loader, plugins, measure_peak(device, job.train.precision)).go(steps_done)


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
        pictures, labels = next(self.loader)
        arguments = (number, torch.from_numpy(pictures), torch.from_numpy(labels))
        if self.flops_per_step:
            loss = self.program.step(*arguments).item()
        else:
            with Recorder() as recorder:
                loss = self.program.step(*arguments).item()
            self.flops_per_step = sum(event.flops for event in recorder.events if isinstance(event, Kernel))
        if not math.isfinite(loss):
            raise RunError(
                f"job {self.program.job.name!r}: the loss is {loss} at step {number + 1}; "
                f"lower optimizer.learning_rate, set optimizer.clip_norm or train longer with optimizer.warmup_steps"
            )
        if self.world.rank == 0:
            self._tell(number, loss, time.perf_counter() - start)
        return loss

    def _tell(self, number: int, loss: float, step_s: float) -> None:
        samples = self.program.job.batch_on(self.world.size) * self.world.size
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
        if self.world.rank == 0:
            path = checkpoint.save(self.program, steps_done)
            self.plugins.checkpoint_saved(CheckpointSaved(step=steps_done, path=path))
