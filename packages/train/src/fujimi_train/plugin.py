"""What this package offers to the others; imports torch only when asked to compute."""

from collections.abc import Sequence
from typing import Any

from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job
from fujimi_core.offers import Command, Model
from fujimi_core.workload import Workload

from fujimi_train.commands import commands

_VITS = {"vit_tiny": "5.7 M", "vit_small": "22 M", "vit_base": "87 M", "vit_large": "304 M", "vit_huge": "632 M"}


@hookimpl
def fujimi_models() -> Sequence[Model]:
    """Offer vision transformers."""
    return [
        Model(name=name, summary=f"vision transformer, {parameters} parameters", build=_build)
        for name, parameters in _VITS.items()
    ]


@hookimpl
def fujimi_capture(job: Job, model: Model, ranks: int) -> Workload:
    """Capture any job whose model some plugin offers."""
    from fujimi_train.capture import capture  # as below

    return capture(job, model, ranks=ranks)


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer fujimi train and fujimi capture."""
    return commands()


def _build(job: Job) -> Any:
    from fujimi_train.vit import SHAPES, VisionTransformer  # torch takes seconds to import

    return VisionTransformer(
        SHAPES[job.model.name],
        pixels=job.data.pixels,
        patch=job.model.patch,
        channels=job.model.channels,
        classes=job.data.classes,
        drop_path=job.model.drop_path,
    )
