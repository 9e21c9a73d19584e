"""Whole tensors in one file, for other programs."""

from pathlib import Path

from fujimi_core.errors import RunError

from fujimi_parallel.checkpoint.parts import Part
from fujimi_parallel.checkpoint.reader import Checkpoint
from fujimi_parallel.checkpoint.tensor_file import Entry, write


def export(checkpoint: Checkpoint, out: Path, *, prefix: str = "model/") -> None:
    """Write the whole tensors of a checkpoint to a safetensors file, one in memory at a time.

    Args:
        checkpoint: Of any number of ranks.
        out: The file; one that is there is replaced when the new one is whole.
        prefix: Tensors whose names begin so are written, under the rest of the name.

    Raises:
        RunError: If there is no such tensor, a file of the checkpoint is damaged, or the new one cannot be written.
    """
    names = [name for name in checkpoint.names() if name.startswith(prefix)]
    if not names:
        raise RunError(f"{checkpoint.path} has no tensor whose name begins with {prefix!r}")
    names.sort(key=lambda name: -checkpoint.dtype(name).itemsize)  # so that each is aligned in the file
    entries = [
        Entry(key=name.removeprefix(prefix), dtype=checkpoint.dtype(name), shape=checkpoint.shape(name))
        for name in names
    ]
    tensors = (checkpoint.read(Part.of(name, checkpoint.shape(name))) for name in names)
    write(out, entries, tensors, about={"format": "pt"})  # without which some readers refuse it
