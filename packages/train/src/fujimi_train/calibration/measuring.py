"""Measures this machine, all ranks at the same time."""

import datetime
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.distributed as dist
from fujimi_core.errors import MachineError
from fujimi_parallel.world import World

from fujimi_train.calibration import messages, operators
from fujimi_train.calibration.description import Here, Measured
from fujimi_train.calibration.disk import Disk, measure_disk
from fujimi_train.calibration.fitting import Timed
from fujimi_train.calibration.operators import Operator
from fujimi_train.calibration.steps import tiny_step, usual_step
from fujimi_train.calibration.timing import Stopwatch
from fujimi_train.device import has_fast_bfloat16, processor

#: Of the usual step, which takes a fifth of a second.
_STEP_BUDGETS = 10
#: Told what is measured next.
Progress = Callable[[str], None]


def require_processors() -> None:
    """Refuse machines whose ranks would train on GPUs.

    Raises:
        MachineError: If there are any.
    """
    if torch.cuda.is_available():
        raise MachineError(
            "ranks here train on GPUs, and calibrate measures processors only; hide the GPUs to measure those: "
            "CUDA_VISIBLE_DEVICES= fujimi machine calibrate …"
        )


def measure(world: World, watch: Stopwatch, directory: Path, *, progress: Progress = lambda _: None) -> Measured:
    """Time everything; each rank takes part and gets the same.

    Args:
        world: The ranks, all on this node.
        watch: Takes the times.
        directory: Whose disk is measured.
        progress: Told of each part.

    Raises:
        RunError: If the disk has no room.
    """
    call_s = watch.seconds(operators.smallest())

    def timed(what: str, items: Iterable[Operator]) -> list[Timed]:
        progress(what)
        return [
            Timed(kernel=each.kernel, seconds=max(watch.seconds(each.call, is_kept=each.is_kept) - call_s, call_s / 10))
            for each in items
        ]

    dtypes = [torch.float32, *([torch.bfloat16] if has_fast_bfloat16() else [])]
    products = {
        str(dtype).removeprefix("torch."): timed(f"matrix products in {dtype}", operators.products(dtype))
        for dtype in dtypes
    }
    additions = timed("memory", operators.additions())
    elementwise = timed("operators", operators.elementwise(torch.float32))
    attention = timed("attention", operators.attention(torch.float32))
    progress("small steps")
    tiny, usual = tiny_step(), usual_step()
    overhead_s = watch.seconds(tiny.call) / len(tiny.kernels)
    step_s = watch.seconds(usual.call, budgets=_STEP_BUDGETS)
    sums, ways = [], []
    if world.size > 1:
        progress("messages")
        sums = [(nbytes, watch.seconds_together(call)) for nbytes, call in messages.all_reduces()]
        trips = [(nbytes, watch.seconds_together(call)) for nbytes, call in messages.round_trips(world)]
        paired = world.size // 2 * 2
        ways = [(nbytes, seconds / 2 * world.size / paired) for nbytes, seconds in trips]
    progress("disk")
    return Measured(
        products=products,
        additions=additions,
        elementwise=elementwise,
        attention=attention,
        overhead_s=overhead_s,
        step=usual.kernels,
        step_s=step_s,
        all_reduces=sums,
        messages=ways,
        disk=_disk(world, directory),
    )


def _disk(world: World, directory: Path) -> Disk | None:
    """Rank 0 measures; the others wait."""
    found = measure_disk(directory) if world.rank == 0 else None
    if world.size > 1:
        dist.barrier()
    return found


def here(name: str, world: World) -> Here:
    """This machine."""
    return Here(
        name=name,
        processor=processor(),
        ranks=world.size,
        threads=torch.get_num_threads(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        backend=dist.get_backend() if world.size > 1 else "none",
        when=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    )
