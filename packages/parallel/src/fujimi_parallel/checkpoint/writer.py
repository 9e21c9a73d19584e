"""One rank's side of saving: copy, write in the background, commit."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path

import torch
from fujimi_core.errors import RunError

from fujimi_parallel.checkpoint import directory as checkpoints
from fujimi_parallel.checkpoint.directory import JSON, Manifest
from fujimi_parallel.checkpoint.index import describe, write_index
from fujimi_parallel.checkpoint.parts import Part
from fujimi_parallel.checkpoint.tensor_file import Entry, write


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    """A part as it was when the save started: its elements in a row on the CPU, in memory of their own."""

    part: Part
    entry: Entry
    elements: torch.Tensor


class Writer:
    """Saves what this rank holds, in a directory that all ranks see.

    All ranks save the same steps in the same order. Each calls `start`; when all are `done`, which they find out
    together, rank 0 calls `commit`, and no rank calls `start` again before. Until the commit, and whatever ends the
    processes, the newest checkpoint is the one before.

    Args:
        directory: Of all checkpoints of the run.
        rank: This one.
        ranks: Size of the world.
        keep: Number of checkpoints to keep.
    """

    def __init__(self, directory: Path, *, rank: int, ranks: int, keep: int) -> None:
        if not 0 <= rank < ranks:
            raise ValueError(f"rank {rank} of {ranks}; ranks count from 0")
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least 1 checkpoint must be kept")
        self._directory = directory
        self._rank = rank
        self._ranks = ranks
        self._keep = keep
        self._thread = futures.ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: futures.Future[None] | None = None
        self._step: int | None = None
        self._info: dict[str, JSON] = {}

    def start(self, step: int, parts: Iterable[tuple[Part, torch.Tensor]], info: Mapping[str, JSON]) -> None:
        """Copy the tensors and begin to write them; what changes afterwards is not saved.

        A save that was not committed is given up.

        Args:
            step: Steps done.
            parts: What this rank is to save, with the elements of each part, in order, in a tensor of any shape. Of
                replicas one is enough; a rank may have nothing.
            info: What else the run wants to find again; that of rank 0 is saved.

        Raises:
            RuntimeError: If the save before still goes on; `wait` for it, and commit it.
            RunError: If the save before failed, and nobody asked.
            ValueError: If a tensor does not fit its part, or a part is given twice.
        """
        if not self.done():
            raise RuntimeError(f"step {self._step} is still being written; wait for it before step {step} starts")
        copies = [_copy(part, tensor) for part, tensor in parts]
        twice = [label for label, count in Counter(copy.entry.key for copy in copies).items() if count > 1]
        if twice:
            raise ValueError(f"rank {self._rank} saves {twice[0]} twice; once is enough")
        if self._rank == 0:
            self._info = json.loads(json.dumps(info))
        self._step = step
        self._writing = self._thread.submit(self._write, step, copies)

    def done(self) -> bool:
        """Whether this rank's file is on disk under its name; also if nothing was started.

        Raises:
            RunError: If it could not be written; once.
        """
        if self._writing is not None and not self._writing.done():
            return False
        self.wait()
        return True

    def wait(self) -> None:
        """Wait until this rank is done.

        Raises:
            RunError: As `done`.
        """
        if self._writing is None:
            return
        futures.wait([self._writing])
        writing, self._writing = self._writing, None
        if writing.exception():
            self._step = None
        writing.result()

    def commit(self) -> Path:
        """Make the files of all ranks a checkpoint; rank 0 does so when all are done.

        Checkpoints of the same step or later ones are removed, as the run went back behind them, and so are the oldest.

        Returns:
            Directory of the checkpoint.

        Raises:
            RunError: If a rank's file is damaged, elements are missing, or the disk is full; the last checkpoint stays.
        """
        if self._rank or not self.done() or self._step is None:
            raise ValueError("nothing to commit: rank 0 commits, once, what it has started and all ranks have done")
        step, self._step = self._step, None
        try:
            return self._commit(step)
        except OSError as wrong:
            raise RunError(f"cannot commit the checkpoint of step {step} in {self._directory}: {wrong}") from wrong

    def _write(self, step: int, copies: list[_Copy]) -> None:
        partial = checkpoints.partial(self._directory, step)
        path = checkpoints.rank_file(partial, self._rank)
        try:
            if self._rank == 0:
                checkpoints.remove_leftovers(self._directory, but=partial)
            partial.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        except OSError as wrong:
            raise RunError(f"cannot write {path}: {wrong}") from wrong
        if copies:
            copies.sort(key=lambda copy: -copy.entry.dtype.itemsize)  # so that each is aligned in the file
            entries, elements = [copy.entry for copy in copies], [copy.elements for copy in copies]
            write(path, entries, elements, about=describe(copy.part for copy in copies))

    def _commit(self, step: int) -> Path:
        partial = checkpoints.partial(self._directory, step)
        written = {checkpoints.rank_file(partial, rank).name for rank in range(self._ranks)}
        for path in partial.iterdir():
            if path.name not in written:  # of a run that was killed
                path.unlink()
        before = checkpoints.saved(self._directory)
        manifest = Manifest(
            step=step,
            save=before[-1][1].save + 1 if before else 1,
            ranks=self._ranks,
            index=write_index(partial, self._ranks),
            info=self._info,
        )
        path = checkpoints.complete(partial, manifest)
        course = [old for old, its in before if its.step < step]
        kept = course[max(0, len(course) - self._keep + 1) :]
        for old, _ in before:
            if old not in kept:
                checkpoints.remove(old)
        return path


def _copy(part: Part, tensor: torch.Tensor) -> _Copy:
    if tensor.numel() != part.numel:
        raise ValueError(f"a tensor of {tensor.numel():,} elements for {part.label}, which has {part.numel:,}")
    copy = torch.empty(part.numel, dtype=tensor.dtype)
    copy.view(tensor.shape).copy_(tensor.detach())
    return _Copy(part=part, entry=Entry(key=part.label, dtype=tensor.dtype, shape=(part.numel,)), elements=copy)
