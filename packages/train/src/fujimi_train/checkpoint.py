"""Checkpoints: everything a run needs to go on as if it had not stopped."""

import os
import re
from pathlib import Path
from typing import Any

import torch
from fujimi_core.errors import JobError, RunError
from fujimi_core.job import Job
from fujimi_core.records import to_table

from fujimi_train.program import Program

_KEYS = {"steps_done", "samples_per_step", "job", "model", "optimizer"}
_NAME = re.compile(r"step-(\d+)\.pt")
#: What may change between a run and its continuation.
_FREE_KEYS = {("train", "out"), ("train", "checkpoint_every"), ("data", "path")}


def directory_of(job: Job) -> Path:
    """Where a job keeps its checkpoints and logs."""
    return Path(job.train.out) / job.name


def save(program: Program, steps_done: int) -> Path:
    """Write a checkpoint, whole or not at all, and remove those before it.

    Args:
        program: What is trained.
        steps_done: Optimizer steps so far.

    Raises:
        RunError: If it cannot be written; the one before stays.
    """
    path = directory_of(program.job) / f"step-{steps_done:08d}.pt"
    partial = path.with_suffix(".partial")
    state = {
        "steps_done": steps_done,
        "samples_per_step": _samples_per_step(program),
        "job": to_table(program.job),
        "model": program.model.state_dict(),
        "optimizer": program.optimizer.state_dict(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as wrong:
        partial.unlink(missing_ok=True)
        raise RunError(f"cannot write the checkpoint {path}: {wrong}") from wrong
    for older in _checkpoints(path.parent):
        if older != path:
            older.unlink(missing_ok=True)
    return path


def resume(program: Program) -> int:
    """Take up the newest checkpoint of the job, if there is one.

    Returns:
        Steps done so far; 0 if the job was never saved.

    Raises:
        JobError: If the checkpoint is another job's, or of another number of samples a step.
        RunError: If it is damaged.
    """
    found = _checkpoints(directory_of(program.job))
    if not found:
        return 0
    state = load(found[-1])
    _require_same_job(program.job, state["job"], found[-1])
    if state["samples_per_step"] != _samples_per_step(program):
        raise JobError(
            f"{found[-1]} was trained with {state['samples_per_step']:,} samples a step, {program.world.size} rank(s) "
            f"have {_samples_per_step(program):,}; use as many ranks as before, or another name or train.out"
        )
    program.model.load_state_dict(state["model"])
    program.optimizer.load_state_dict(state["optimizer"])
    return int(state["steps_done"])


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint: ``steps_done``, ``samples_per_step``, ``job``, ``model`` and ``optimizer``.

    Raises:
        RunError: If it is missing or damaged.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as wrong:
        raise RunError(f"cannot read the checkpoint {path}: {wrong}; remove it to start again") from wrong
    if not isinstance(state, dict) or not set(state) >= _KEYS:
        raise RunError(f"{path} is no checkpoint of fujimi; remove it to start again")
    return state


def newest(directory: Path) -> Path:
    """The newest checkpoint of a directory.

    Raises:
        RunError: If there is none.
    """
    found = _checkpoints(directory)
    if not found:
        raise RunError(f"no checkpoint in {directory}; train the job first")
    return found[-1]


def _samples_per_step(program: Program) -> int:
    """As of a job that names its batch per rank, this depends on the ranks, and so does which samples come next."""
    return program.job.global_batch_on(program.world.size)


def _checkpoints(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("step-*.pt") if _NAME.fullmatch(path.name))


def _require_same_job(job: Job, saved: dict[str, Any], path: Path) -> None:
    now = to_table(job)
    for section, value in now.items():
        then = saved.get(section)
        keys = value if isinstance(value, dict) else {section: value}
        before = then if isinstance(then, dict) else {section: then}
        for key, given in keys.items():
            if (section, key) not in _FREE_KEYS and before.get(key) != given:
                name = key if key == section else f"{section}.{key}"
                raise JobError(
                    f"{path} was trained with {name} = {before.get(key)}, the job says {given}; "
                    f"choose another name or train.out, or remove the checkpoint"
                )
