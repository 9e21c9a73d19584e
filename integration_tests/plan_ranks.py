"""One rank of the plans that are compared with a single process; `plan_coverage.py` starts it under mpiexec."""

import functools
import json
import math
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from fujimi_core.job import Offload
from fujimi_parallel import offload
from fujimi_parallel.axes import Axes
from fujimi_parallel.network import Network
from fujimi_parallel.world import World, join
from fujimi_parallel.zero import Piece
from plan_cases import Case

#: What is offloaded of models this small; as a rule it would be nothing.
SMALLEST_BYTES = 1024
LEARNING_RATE = 3e-3


def main() -> None:
    """Run the plans of ``argv[1]``, a folder, over the backend ``argv[2]``; rank 0 writes what it finds."""
    torch.set_num_threads(1)
    offload.SMALLEST_BYTES = SMALLEST_BYTES
    folder, backend = Path(sys.argv[1]), sys.argv[2]
    with join(backend) as world:
        try:
            _run_all(folder, world)
        except Exception:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # the others wait for this rank; the launcher stops them


def _run_all(folder: Path, world: World) -> None:
    cases = [Case(**table) for table in json.loads((folder / f"{world.size}.json").read_text())]
    steps = max(case.steps for case in cases)
    singles = {_path(folder, single): single for case in cases for single in [replace(case.single, steps=steps)]}
    for number, (path, single) in enumerate(singles.items()):
        if number % world.size == world.rank and not path.exists():
            torch.save(_trained(single, Axes(World(rank=0, mesh=single.plan.mesh), single.plan.mesh)), path)
    _wait()
    axes = functools.cache(lambda mesh: Axes(World(rank=world.rank, mesh=mesh), mesh))
    for number, case in enumerate(cases):
        if world.rank == 0:
            sys.stderr.write(f"{world.size} ranks, {number + 1} of {len(cases)}: {case.model} {dict(case.parallel)}\n")
        single = torch.load(_path(folder, replace(case.single, steps=steps)))
        found = _compared(case, axes(case.plan.mesh), single)
        if world.rank == 0:
            with (folder / f"{world.size}.found").open("a") as file:
                file.write(json.dumps(found) + "\n")


def _path(folder: Path, single: Case) -> Path:
    """Where the losses and gradients of a single process are kept."""
    return folder / f"{single.model}-{single.depth}-{single.plan.microbatch}-{single.steps}.pt"


def _compared(case: Case, axes: Axes, single: dict[str, Any]) -> dict[str, Any]:
    """How far the plan is from a single process: 0 where all ranks are bit-equal."""
    shared = _trained(case, axes)
    apart = [0.0]
    for (name, start, stop), gradient in shared["gradients"].items():
        whole = single["gradients"][name, 0, None]
        mine = whole[tuple(slice(*dim) for dim in shared["blocks"][name])].flatten()[start:stop]
        apart.append((gradient.flatten() - mine).abs().max().item() / whole.abs().max().item())
    first = single["losses"][0]
    losses = [abs(one - other) / first for one, other in zip(shared["losses"], single["losses"], strict=False)]
    if not all(map(math.isfinite, apart + losses)):
        raise RuntimeError(f"{case} gave numbers that are none")  # which would be no highest ones
    worst = _highest([max(apart), max(losses)])
    return {"gradients": worst[0], "losses": worst[1], "first": first, "last": shared["losses"][-1]}


def _trained(case: Case, axes: Axes) -> dict[str, Any]:
    """Losses of all steps, gradients of the first one, and which part of each parameter this rank has."""
    plan, job = case.plan, case.job
    inputs, labels = case.batch()
    network = case.network(axes)
    pieces = list(network.pieces())
    optimizer = torch.optim.AdamW([piece.values for piece in pieces], lr=LEARNING_RATE)
    start = axes.at("dp") * plan.batch
    mine = slice(start, start + plan.batch)
    losses: list[float] = []
    gradients: dict[tuple[str, int, int | None], torch.Tensor] = {}
    for _ in range(case.steps):
        loss = network.gradients(
            inputs[mine] if network.has_first else None, labels[mine] if network.has_last else None
        )
        losses.append(_summed(loss, axes))
        gradients = gradients or dict(_gradients(pieces, is_whole=axes.mesh.world_size == 1))
        optimizer.step()
        if job.parallel.offload in (Offload.OPTIMIZER, Offload.ALL):
            assert network.outside
            offload.offload_state(optimizer, network.outside)
        network.updated()
    _require_offload(case, network)
    blocks = {name: held.block for stage in network.stages for name, held in stage.held.items()}
    return {"losses": losses, "gradients": gradients, "blocks": blocks}


def _gradients(pieces: list[Piece], *, is_whole: bool) -> Iterator[tuple[tuple[str, int, int | None], torch.Tensor]]:
    for piece in pieces:
        assert piece.values.grad is not None
        yield (piece.name, piece.start, None if is_whole else piece.stop), piece.values.grad.clone()


def _summed(loss: torch.Tensor | None, axes: Axes) -> float:
    """The mean over all samples."""
    share = loss if loss is not None and axes.is_first("tp") else torch.zeros(())
    if (everybody := axes.everybody()) is not None:
        dist.all_reduce(share, group=everybody)
    return share.item()


def _require_offload(case: Case, network: Network) -> None:
    """Refuse a run that was to offload something and did not."""
    if network.outside is not None and network.outside.moved_bytes == 0:
        raise RuntimeError(f"nothing was offloaded by {case}")


def _highest(found: list[float]) -> list[float]:
    """Of all ranks."""
    worst = torch.tensor(found, dtype=torch.float64)
    dist.all_reduce(worst, op=dist.ReduceOp.MAX)
    values: list[float] = worst.tolist()
    return values


def _wait() -> None:
    """Until all ranks have come here."""
    _highest([0.0])


if __name__ == "__main__":
    main()
