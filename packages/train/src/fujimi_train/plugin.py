"""What this package offers to the others; imports torch only when asked to compute."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fujimi_core.errors import JobError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job
from fujimi_core.offers import Command, Model, Sharding, Style
from fujimi_core.workload import Workload

from fujimi_train.commands import commands

_VITS = {
    "vit_tiny": "5.7 M parameters",
    "vit_small": "22 M parameters",
    "vit_base": "87 M parameters",
    "vit_large": "304 M parameters",
    "vit_huge": "632 M parameters",
}
#: With the vocabulary of GPT-2 and 1,024 tokens (gpt3: 2,048), or with those of Fugaku-LLM, 48,588 and 2,048.
_GPTS = {
    "gpt2_small": "163 M parameters",
    "gpt2_medium": "406 M parameters",
    "gpt2_large": "838 M parameters",
    "gpt2_xl": "1638 M parameters",
    "gpt3_6.7b": "6864 M parameters",
    "gpt_13b": "13417 M parameters",
}

#: Of volumes, with kernels of 3 voxels, as in the closed division of MLPerf HPC v1.0, or of 2.
_COSMOFLOWS = {"cosmoflow": "8.9 M parameters", "cosmoflow_open": "5.6 M parameters"}

#: Of any size, which the job says.
_VIT, _GPT = "vit", "gpt"
_ANY = "as wide and deep as model.width, depth and heads say"

_BLOCKS = {
    "blocks.*.attention.qkv": Style.COLUMN,
    "blocks.*.attention.proj": Style.ROW,
    "blocks.*.fc1": Style.COLUMN,
    "blocks.*.fc2": Style.ROW,
}

_VIT_SHARDING = Sharding(
    first="embed",
    blocks="blocks",
    last="head",
    styles=_BLOCKS,
    heads="blocks.*.attention.heads",
    whole_sequence=True,  # of which the head takes the class token
    causal=False,
)

_GPT_SHARDING = Sharding(
    first="embed",
    blocks="blocks",
    last="head",
    styles={"embed.tokens": Style.VOCABULARY, **_BLOCKS, "head.linear": Style.COLUMN},
    heads="blocks.*.attention.heads",
    whole_sequence=False,
    causal=True,
)


@hookimpl
def fujimi_models() -> Sequence[Model]:
    """Offer vision transformers, GPTs and CosmoFlow."""
    vits = [
        Model(name=name, summary=f"vision transformer, {size}", build=_build_vit, sharding=_VIT_SHARDING)
        for name, size in (_VITS | {_VIT: _ANY}).items()
    ]
    gpts = [
        Model(name=name, summary=f"language model, {size}", build=_build_gpt, sharding=_GPT_SHARDING)
        for name, size in (_GPTS | {_GPT: _ANY}).items()
    ]
    cosmoflows = [
        Model(
            name=name,
            summary=f"convolutions over volumes, {size} with 4 channels of 128 voxels",
            build=_build_cosmoflow,
        )
        for name, size in _COSMOFLOWS.items()
    ]
    return vits + gpts + cosmoflows


@hookimpl
def fujimi_capture(job: Job, model: Model, ranks: int) -> Workload:
    """Capture any job whose model some plugin offers."""
    from fujimi_train.capture import capture  # as below

    return capture(job, model, ranks=ranks)


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer fujimi train and fujimi capture."""
    return commands()


def _build_vit(job: Job) -> Any:
    from fujimi_train.vit import SHAPES, VisionTransformer, VitShape  # torch takes seconds to import

    if job.data.classes is None:
        raise _no_pictures(job)
    return VisionTransformer(
        _shape(job, SHAPES, VitShape),
        pixels=job.data.pixels,
        patch=job.model.patch,
        channels=job.model.channels,
        classes=job.data.classes,
        drop_path=job.model.drop_path,
        dropout=job.model.dropout,
        attention=job.model.attention,
    )


def _build_cosmoflow(job: Job) -> Any:
    from fujimi_train.cosmoflow import KERNELS, CosmoFlow  # as above

    if job.data.classes is None:
        raise _no_pictures(job)
    try:
        return CosmoFlow(
            pixels=job.data.pixels,
            channels=job.model.channels,
            classes=job.data.classes,
            kernel=KERNELS[job.model.name],
        )
    except ValueError as wrong:
        raise JobError(f"job {job.name!r}: data.pixels: {wrong}") from None


def _no_pictures(job: Job) -> JobError:
    return JobError(
        f"job {job.name!r}: {job.model.name} takes pictures, but data.family is {job.data.family!r}; let "
        f"model.name be one of {', '.join([*_GPTS, _GPT])}, or data.family a generator of pictures, with "
        f"data.classes and data.instances"
    )


def _build_gpt(job: Job) -> Any:
    from fujimi_train.gpt import SHAPES, Gpt, GptShape  # as above

    if job.data.sequence is None or job.data.vocabulary is None:
        raise JobError(
            f"job {job.name!r}: {job.model.name} takes tokens, but data.family is {job.data.family!r}, of pictures; "
            f"let model.name be one of {', '.join([*_VITS, _VIT])}, or data.family 'tokens', with data.sequence and "
            f"data.vocabulary"
        )
    return Gpt(
        _shape(job, SHAPES, GptShape),
        sequence=job.data.sequence,
        vocabulary=job.data.vocabulary,
        drop_path=job.model.drop_path,
        dropout=job.model.dropout,
        attention=job.model.attention,
    )


def _shape(job: Job, shapes: Mapping[str, Any], of_any_size: type[Any]) -> Any:
    """That of a name, which may be made less deep, or deeper; or what the job says."""
    spec = job.model
    sizes = {"width": spec.width, "depth": spec.depth, "heads": spec.heads}
    given = {name: size for name, size in sizes.items() if size is not None}
    if spec.name in shapes:
        own = next((name for name in given if name != "depth"), None)
        if own is not None:
            raise JobError(f"job {job.name!r}: {spec.name} has a {own} of its own; leave model.{own} out")
        return replace(shapes[spec.name], **given)
    missing = [f"model.{name}" for name in sizes if name not in given]
    if missing:
        raise JobError(f"job {job.name!r}: {spec.name} is of any size: give {' and '.join(missing)}")
    return of_any_size(**given)
