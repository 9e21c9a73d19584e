"""Waiting for other ranks: in one place, by which it is told from work of one's own."""

from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import torch
import torch.distributed as dist

#: What is below these waits for other ranks, or is about to.
_COLLECTIVES = tuple(f"{path}/" for path in (Path(dist.__file__).parent, Path(__file__).parent / "mpi"))


def wait_for(work: dist.Work | None) -> None:
    """Wait until a collective or a message is over; None is."""
    if work is not None:
        work.wait()


def may_wait(innermost: FrameType | None) -> bool:
    """Whether a thread is in a collective, or in `wait_for`; with a GPU it always may, as kernels wait there.

    Args:
        innermost: Frame of the thread, as ``sys._current_frames`` has it.
    """
    return torch.cuda.is_initialized() or any(
        frame.f_code is wait_for.__code__ or frame.f_code.co_filename.startswith(_COLLECTIVES)
        for frame in _stack(innermost)
    )


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
