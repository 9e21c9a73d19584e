"""Checkpoints: everything a run needs to go on as if it had not stopped, on any number of ranks and by any plan."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from fujimi_core.errors import JobError, RunError
from fujimi_core.job import Job
from fujimi_core.records import to_table
from fujimi_parallel.checkpoint import Checkpoint, Part, Writer
from fujimi_parallel.checkpoint import newest as newest_of
from fujimi_parallel.zero import Piece

from fujimi_train.program import Program
from fujimi_train.stability import StabilityState

#: What may change between a run and its continuation: where things are, and how ranks share the work.
_FREE_SECTIONS = {"parallel", "submit", "stability"}
#: But not this, of a free section.
_PRECISION = ("parallel", "precision")
_FREE_KEYS = {
    ("train", "out"),
    ("train", "checkpoint_every"),
    ("train", "keep_checkpoints"),
    ("train", "hang_limit_s"),
    ("train", "global_batch"),  # what counts are samples a step, which are compared
    ("train", "batch_per_rank"),
    ("data", "path"),
}
#: Tensors of the network, and of the optimizer beside each.
MODEL, OPTIMIZER = "model/", "optimizer/"


def directory_of(job: Job) -> Path:
    """Where a job keeps its checkpoints and logs."""
    return Path(job.train.out) / job.name


class Saver:
    """Saves a program while it goes on.

    Every rank calls `start` for the same steps. When all are `done`, which they find out together, every rank calls
    `commit`.

    Args:
        program: What is trained.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._writer = Writer(
            directory_of(program.job),
            rank=program.world.rank,
            ranks=program.world.size,
            keep=program.job.train.keep_checkpoints,
        )
        self.pending: int | None = None  # steps of a checkpoint that is not committed

    def start(self, steps_done: int, stability: StabilityState) -> None:
        """Copy what the program is now, and begin to write it.

        Raises:
            RunError: If the one before could not be written.
        """
        info: dict[str, Any] = {
            "job": to_table(self._program.job),
            "samples_per_step": self._program.plan.global_batch,
            "stability": asdict(stability),
        }
        self._writer.start(steps_done, _parts(self._program), info)
        self.pending = steps_done

    def done(self) -> bool:
        """Whether this rank has written what it started.

        Raises:
            RunError: If that failed; the checkpoint before stays.
        """
        return self._writer.done()

    def wait(self) -> None:
        """Wait until this rank is done.

        Raises:
            RunError: As `done`.
        """
        self._writer.wait()

    def commit(self) -> Path | None:
        """Make what all ranks have written the newest checkpoint; rank 0 does, and knows where it is."""
        self.pending = None
        return self._writer.commit() if self._program.world.rank == 0 else None


def resume(program: Program) -> tuple[int, StabilityState]:
    """Take up the newest checkpoint of the job, if there is one.

    Returns:
        Steps done so far, 0 if the job was never saved; and what is remembered of bad steps.

    Raises:
        JobError: If the checkpoint is another job's, or of another number of samples a step.
        RunError: If it is damaged.
    """
    path = newest_of(directory_of(program.job))
    if path is None:
        return 0, StabilityState()
    checkpoint = Checkpoint(path)
    _require_same_job(program, checkpoint)
    restore(program, checkpoint)
    return checkpoint.step, _stability(checkpoint.info)


def restore(program: Program, checkpoint: Checkpoint) -> None:
    """Give parameters and optimizer the values of a checkpoint, each rank its own part.

    Raises:
        RunError: If something is missing or damaged.
    """
    saved = set(checkpoint.names())
    with torch.no_grad():
        for piece in program.pieces:
            part = _part(program, piece, MODEL + piece.name)
            piece.values.view(-1).copy_(checkpoint.read(part))
            state = program.optimizer.state[piece.values]
            state.clear()  # the checkpoint may be of a time before the first update
            for name in (name for name in saved if name.startswith(f"{OPTIMIZER}{piece.name}/")):
                state[name.rpartition("/")[2]] = _state(program, piece, checkpoint, name)
    program.network.updated()


def newest(directory: Path) -> Path:
    """The newest checkpoint of a directory.

    Raises:
        RunError: If there is none, or it is damaged.
    """
    found = newest_of(directory)
    if found is None:
        raise RunError(f"no checkpoint in {directory}; train the job first")
    return found


def steps_saved(directory: Path) -> int:
    """Steps done at the newest checkpoint of a directory; 0 if there is none that can be read."""
    try:
        return Checkpoint(newest(directory)).step
    except RunError:
        return 0


def load_model(path: Path) -> dict[str, torch.Tensor]:
    """Whole parameters of the network in a checkpoint, by name.

    Raises:
        RunError: If it is damaged.
    """
    checkpoint = Checkpoint(path)
    names = [name for name in checkpoint.names() if name.startswith(MODEL)]
    return {
        name.removeprefix(MODEL): checkpoint.read(Part.of(name, checkpoint.shape(name))).view(checkpoint.shape(name))
        for name in names
    }


def _parts(program: Program) -> Iterator[tuple[Part, torch.Tensor]]:
    """What this rank writes: of what several ranks hold, the first of them writes all."""
    for piece in program.pieces:
        if not program.network.is_counted(piece):
            continue
        yield _part(program, piece, MODEL + piece.name), piece.values
        for key, value in program.optimizer.state[piece.values].items():
            name = f"{OPTIMIZER}{piece.name}/{key}"
            if value.shape == piece.values.shape:
                yield _part(program, piece, name), value
            elif piece.start == 0 and _is_first_of_tensor(program, piece):
                yield Part.of(name, value.shape), value


def _part(program: Program, piece: Piece, name: str) -> Part:
    held = program.network.held(piece.name)
    return Part.of(name, held.shape, block=held.block, flat=(piece.start, piece.stop))


def _is_first_of_tensor(program: Program, piece: Piece) -> bool:
    """Whether the rank holds the first element: it writes what there is once for a parameter."""
    return all(start == 0 for start, _ in program.network.held(piece.name).block)


def _state(program: Program, piece: Piece, checkpoint: Checkpoint, name: str) -> torch.Tensor:
    shape = checkpoint.shape(name)
    if shape != program.network.held(piece.name).shape:
        value = checkpoint.read(Part.of(name, shape)).view(shape)
    else:
        value = checkpoint.read(_part(program, piece, name)).view(piece.values.shape)
    return value.to(piece.values.device)


def _stability(info: Mapping[str, Any]) -> StabilityState:
    table = info["stability"]
    return StabilityState(
        losses=tuple(table["losses"]),
        skipped_in_a_row=table["skipped_in_a_row"],
        rolled_back_to=table["rolled_back_to"],
        rollbacks=table["rollbacks"],
        passed_over=tuple((first, last) for first, last in table["passed_over"]),
    )


def _require_same_job(program: Program, checkpoint: Checkpoint) -> None:
    info: Mapping[str, Any] = checkpoint.info
    now, saved = json.loads(json.dumps(to_table(program.job))), info["job"]  # with lists for tuples, as it was saved
    for section, value in now.items():
        then = saved.get(section)
        keys = value if isinstance(value, dict) else {section: value}
        before = then if isinstance(then, dict) else {section: then}
        for key, given in keys.items():
            free = section in _FREE_SECTIONS or (section, key) in _FREE_KEYS
            if (not free or (section, key) == _PRECISION) and before.get(key) != given:
                name = key if key == section else f"{section}.{key}"
                raise JobError(
                    f"{checkpoint.path} was trained with {name} = {before.get(key)}, the job says {given}; "
                    f"choose another name or train.out, or remove the checkpoint"
                )
    if info["samples_per_step"] != program.plan.global_batch:
        raise JobError(
            f"{checkpoint.path} was trained with {info['samples_per_step']:,} samples a step, this plan on "
            f"{program.world.size} rank(s) has {program.plan.global_batch:,}; set train.global_batch = "
            f"{info['samples_per_step']}, or choose another name or train.out"
        )
