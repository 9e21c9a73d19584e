"""Whole steps of one rank alone: what operators cost beside their work, and how much slower they are among others."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from fujimi_core.job import from_table
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Model
from fujimi_core.workload import Kernel
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.world import DATA_AXIS, World

from fujimi_train.gpt import Gpt, GptShape
from fujimi_train.plugin import fujimi_models
from fujimi_train.program import Program


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a network.

    Args:
        kernels: Its operators.
        call: Does one.
    """

    kernels: tuple[Kernel, ...]
    call: Callable[[], object]


def tiny_step() -> Step:
    """Of a network so narrow that its operators have as good as nothing to do."""
    return _step(GptShape(width=8, depth=4, heads=1), samples=1, tokens=4, vocabulary=8)


def usual_step() -> Step:
    """Of a network whose tensors are larger than what operators leave in the caches."""
    return _step(GptShape(width=384, depth=3, heads=6), samples=8, tokens=64, vocabulary=1024)


def _step(shape: GptShape, *, samples: int, tokens: int, vocabulary: int) -> Step:
    job = from_table(
        {
            "name": "calibration",
            "model": {"name": "gpt2_small"},
            "data": {"family": "tokens", "sequence": tokens, "vocabulary": vocabulary},
            "train": {"steps": 1_000_000, "batch_per_rank": samples},
            "optimizer": {"clip_norm": 1.0},
            "parallel": {"precision": "float32"},
        }
    )
    model = Model(
        name="gpt2_small",
        summary="small",
        build=lambda _: Gpt(shape, sequence=tokens, vocabulary=vocabulary),
        sharding=next(each.sharding for each in fujimi_models() if each.name == "gpt2_small"),
    )
    world = World(rank=0, mesh=Mesh.of(**{DATA_AXIS: 1}))
    program = Program(job, model, world, device=torch.device("cpu"))
    samples_BT = torch.randint(vocabulary, (samples, tokens))
    program.step(0, samples_BT, samples_BT)
    with Recorder(program.plan.mesh) as recorder:
        program.step(1, samples_BT, samples_BT)
    kernels = tuple(event for event in recorder.events if isinstance(event, Kernel))
    return Step(kernels=kernels, call=lambda: program.step(2, samples_BT, samples_BT))
