"""What each operator of a step costs whatever its size: Python, autograd and the dispatcher."""

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

_TOKENS, _VOCABULARY = 4, 8


@dataclass(frozen=True, slots=True, kw_only=True)
class TinyStep:
    """A step of a network so narrow that its operators have as good as nothing to do.

    Args:
        kernels: Operators of a step.
        call: Does one.
    """

    kernels: int
    call: Callable[[], object]


def tiny_step() -> TinyStep:
    """A step of one rank alone."""
    job = from_table(
        {
            "name": "tiny",
            "model": {"name": "gpt2_small"},
            "data": {"family": "tokens", "sequence": _TOKENS, "vocabulary": _VOCABULARY},
            "train": {"steps": 1_000_000, "batch_per_rank": 1},
            "optimizer": {"clip_norm": 1.0},
            "parallel": {"precision": "float32"},
        }
    )
    shape = GptShape(width=8, depth=4, heads=1)
    model = Model(
        name="gpt2_small",
        summary="narrow",
        build=lambda _: Gpt(shape, sequence=_TOKENS, vocabulary=_VOCABULARY),
        sharding=next(each.sharding for each in fujimi_models() if each.name == "gpt2_small"),
    )
    world = World(rank=0, mesh=Mesh.of(**{DATA_AXIS: 1}))
    program = Program(job, model, world, device=torch.device("cpu"))
    tokens = torch.zeros(1, _TOKENS, dtype=torch.int64)
    program.step(0, tokens, tokens)
    with Recorder(program.plan.mesh) as recorder:
        program.step(1, tokens, tokens)
    kernels = sum(isinstance(event, Kernel) for event in recorder.events)
    return TinyStep(kernels=kernels, call=lambda: program.step(2, tokens, tokens))
