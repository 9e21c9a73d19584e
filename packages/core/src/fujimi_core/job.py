"""Job: what the user wants trained, checked and with every default filled in."""

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from fujimi_core.checks import at_least, within
from fujimi_core.data_spec import DataSpec
from fujimi_core.errors import JobError
from fujimi_core.records import build, to_table
from fujimi_core.stability_spec import StabilitySpec
from fujimi_core.submit_spec import SubmitSpec


class Precision(StrEnum):
    """Type in which matrix products are computed."""

    AUTO = "auto"
    FLOAT32 = "float32"
    #: Parameters and what is between matrix products stay float32.
    BFLOAT16 = "bfloat16"
    #: All in bfloat16, but for the loss and for what the optimizer updates: float32 copies of the parameters.
    PURE_BFLOAT16 = "pure_bfloat16"


class AttentionKind(StrEnum):
    """How attention is computed."""

    #: In one operator that keeps no scores.
    FUSED = "fused"
    #: As matrix products with a softmax of all scores between them.
    UNFUSED = "unfused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """``[model]``: which network.

    Args:
        name: One that a plugin offers.
        width: Of a token, for networks of any size, which want ``depth`` and ``heads`` too.
        depth: Blocks; networks that have a number of their own can be made less deep, or deeper.
        heads: Attention heads; they divide the width.
        patch: Side of a patch [pixels], of networks that take pictures.
        channels: Channels of the input; grey pictures are repeated.
        drop_path: Probability of leaving out a residual branch in the last block, rising linearly from 0.
        dropout: Probability of setting an element of each branch to 0, and a score of unfused attention.
        attention: How attention is computed.
    """

    name: str
    width: int | None = None
    depth: int | None = None
    heads: int | None = None
    patch: int = 16
    channels: int = 3
    drop_path: float = 0.0
    dropout: float = 0.0
    attention: AttentionKind = AttentionKind.FUSED

    def __post_init__(self) -> None:
        at_least(self, 1, "patch", "channels")
        at_least(self, 1, *(name for name in ("width", "depth", "heads") if getattr(self, name) is not None))
        for name in ("drop_path", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")


_COLOURS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """``[train]``: how long and how much at once.

    Args:
        steps: Optimizer steps.
        global_batch: Samples of all ranks together a step; keeps its size whatever the ranks (strong scaling).
        batch_per_rank: Samples a step of each data-parallel rank: of those that share the work on the same samples
            together (weak scaling). Exactly one of the two is given.
        label_smoothing: Share of the target spread over all classes.
        checkpoint_every: Steps between checkpoints; 0 for one at the end only.
        keep_checkpoints: Of which so many are kept, the newest.
        hang_limit_s: After which a rank that is silent or stands still is told of, and the run ended [s]; 0 for never.
        out: Directory for checkpoints and logs.
    """

    steps: int
    global_batch: int | None = None
    batch_per_rank: int | None = None
    label_smoothing: float = 0.0
    checkpoint_every: int = 0
    keep_checkpoints: int = 2
    hang_limit_s: float = 300.0
    out: str = "runs"

    def __post_init__(self) -> None:
        at_least(self, 1, "steps", "keep_checkpoints")
        at_least(self, 0, "checkpoint_every", "hang_limit_s")
        within(self, 0, 1, "label_smoothing")
        given = [batch for batch in (self.global_batch, self.batch_per_rank) if batch is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of global_batch and batch_per_rank")
        if given[0] < 1:
            raise ValueError(f"a batch of {given[0]} samples; at least 1 is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizerSpec:
    """``[optimizer]``: how AdamW moves the parameters.

    Args:
        learning_rate: At its highest, after warm-up.
        weight_decay: Decoupled; not applied to vectors (biases, norms).
        betas: Decay of the two moments.
        warmup_steps: Steps over which the learning rate rises linearly; it falls to 0 as a cosine.
        clip_norm: Upper limit of the gradient's norm; 0 for none.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.999)
    warmup_steps: int = 0
    clip_norm: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 0, "learning_rate", "weight_decay", "warmup_steps", "clip_norm")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are {self.betas}; each must be at least 0 and below 1")


class Schedule(StrEnum):
    """Order in which the stages of a pipeline work on microbatches.

    Source:
        Huang et al., "GPipe", 2019; Narayanan et al., "Megatron-LM", SC 2021, section 2.2 (1F1B, interleaved);
        Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024.
    """

    GPIPE = "gpipe"
    ONE_F_ONE_B = "1f1b"
    INTERLEAVED = "interleaved"
    ZERO_BUBBLE = "zero-bubble"


class Recompute(StrEnum):
    """What the backward pass computes again."""

    NONE = "none"
    SELECTIVE = "selective"
    FULL = "full"
    #: Blocks to their last operator, whether or not anything needs it, as PyTorch did before 2.1 and Megatron-LM does.
    WHOLE = "whole"


def recompute_of(recompute: Recompute | tuple[int, ...], block: int) -> Recompute:
    """What the backward pass of one block computes again, of what a job says of all."""
    if isinstance(recompute, Recompute):
        return recompute
    return Recompute.FULL if block in recompute else Recompute.NONE


class Offload(StrEnum):
    """What leaves the device's memory while it is not needed."""

    NONE = "none"
    OPTIMIZER = "optimizer"
    ACTIVATIONS = "activations"
    ALL = "all"


class ReduceType(StrEnum):
    """Types in which gradients can travel."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class Backend(StrEnum):
    """What carries messages between ranks."""

    AUTO = "auto"
    MPI = "mpi"
    GLOO = "gloo"
    NCCL = "nccl"


#: Axes of a plan's mesh: pipeline, data, sequence, tensor.
AXES = ("pp", "dp", "sp", "tp")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelSpec:
    """``[parallel]``: how ranks share the work.

    Args:
        data: Groups of ranks with different samples; without, as many as the ranks and the other axes leave.
        tensor: Ranks that share each layer.
        pipeline: Ranks that share the layers, one after the other.
        sequence: Ranks that share the tokens of each sample; their attention goes around in a ring.
        virtual_stages: Stages of each pipeline rank.
        schedule: Order in which a pipeline works on its microbatches.
        zero: What data-parallel ranks share: 0 nothing, 1 the optimizer's state, 2 also gradients, 3 also parameters.
        recompute: What the backward pass computes again instead of keeping it: ``none``, ``selective`` (all but matrix
            products and attention), ``full`` (blocks, as far as anything needs it), ``whole`` (to their end), or the
            numbers of the blocks that do so in full.
        offload: What lies outside of the device's memory while it is not needed.
        offload_path: Directory for what a rank without another memory offloads; without, that of temporary files.
        microbatch: Samples that go through the network at once; without, all of them, or in a pipeline as many as give
            each of its stages one.
        accumulate: Passes over the network whose gradients are summed before an update.
        placement: Axes, slowest first: ranks that differ only in the last are next to each other.
        precision: Type of matrix products; ``auto`` is bfloat16 where the device has it.
        grad_reduce_dtype: Type in which gradients travel between ranks.
        bucket_bytes: Gradients are summed over the ranks in pieces of about this many bytes; with ``zero = 3`` the
            pieces are blocks.
        backend: What carries messages: ``mpi``, ``gloo`` or ``nccl``; ``auto`` goes by launcher and device.
    """

    data: int | None = None
    tensor: int = 1
    pipeline: int = 1
    sequence: int = 1
    virtual_stages: int = 1
    schedule: Schedule = Schedule.ONE_F_ONE_B
    zero: int = 0
    recompute: Recompute | tuple[int, ...] = Recompute.NONE
    offload: Offload = Offload.NONE
    offload_path: str | None = None
    microbatch: int | None = None
    accumulate: int = 1
    placement: tuple[str, ...] = AXES
    precision: Precision = Precision.AUTO
    grad_reduce_dtype: ReduceType = ReduceType.FLOAT32
    bucket_bytes: int = 25 * 2**20
    backend: Backend = Backend.AUTO

    def __post_init__(self) -> None:
        at_least(self, 1, "tensor", "pipeline", "sequence", "virtual_stages", "accumulate", "bucket_bytes")
        within(self, 0, 3, "zero")
        for name in ("data", "microbatch"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"{name} is {number}; at least 1 is needed")
        if sorted(self.placement) != sorted(AXES):
            raise ValueError(f"placement is {list(self.placement)}; it must hold each of {', '.join(AXES)} once")
        if not isinstance(self.recompute, Recompute) and any(block < 0 for block in self.recompute):
            raise ValueError(f"recompute is {list(self.recompute)}; blocks are counted from 0")
        looped = self.schedule in (Schedule.INTERLEAVED, Schedule.ZERO_BUBBLE)
        if self.virtual_stages > 1 and not looped:
            raise ValueError(
                f"virtual_stages is {self.virtual_stages}, but schedule {self.schedule.value} knows one stage a rank; "
                'the nearest that works: schedule = "interleaved"'
            )
        if self.virtual_stages > 1 and self.pipeline == 1:
            raise ValueError(
                f"virtual_stages is {self.virtual_stages} without a pipeline; use pipeline = 2 or virtual_stages = 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to train, on what, how."""

    name: str
    seed: int = 0
    model: ModelSpec
    data: DataSpec
    train: TrainSpec
    optimizer: OptimizerSpec = field(default_factory=OptimizerSpec)
    parallel: ParallelSpec = field(default_factory=ParallelSpec)
    stability: StabilitySpec = field(default_factory=StabilitySpec)
    submit: SubmitSpec | None = None

    def __post_init__(self) -> None:
        if not self.data.is_tokens and self.data.pixels % self.model.patch:
            raise ValueError(f"data.pixels {self.data.pixels} is no multiple of model.patch {self.model.patch}")
        if self.data.colour and self.model.channels != _COLOURS:
            raise ValueError(f"data.colour gives {_COLOURS} channels, but model.channels is {self.model.channels}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to 2**63 - 1")

    def batch_on(self, readers: int) -> int:
        """Samples a step of each group of ranks with different samples, when there are so many groups.

        Raises:
            JobError: If the global batch cannot be dealt out evenly, or not as ``data.mix`` and ``repeats`` want it.
        """
        if readers < 1:
            raise JobError(f"a job runs on at least one rank, not on {readers}")
        each = self.train.batch_per_rank
        whole = (self.train.global_batch or 0) if each is None else each * readers
        if whole % readers:
            raise JobError(
                f"job {self.name!r}: train.global_batch {whole:,} does not divide into {readers:,} data-parallel "
                f"ranks; use a multiple of {readers:,}, other ranks, or train.batch_per_rank"
            )
        batch, repeats = whole // readers, self.data.repeats
        unit = math.lcm(readers * (2 if self.data.mix else 1), repeats)
        nearest = max(1, (whole + unit // 2) // unit) * unit
        if self.data.mix and batch % 2:
            raise JobError(
                f"job {self.name!r}: data.mix mixes pairs, but each rank has {batch:,} samples a step; the nearest "
                f"that works: {nearest // readers:,}"
            )
        if whole % repeats:
            raise JobError(
                f"job {self.name!r}: data.repeats = {repeats} does not divide the {whole:,} samples of all ranks a "
                f"step; the nearest that works: {nearest:,}, {nearest // readers:,} a rank"
            )
        return batch

    def with_batch_per_rank(self, batch: int) -> "Job":
        """The same job with so many samples a rank, whatever the ranks (weak scaling)."""
        return replace(self, train=replace(self.train, global_batch=None, batch_per_rank=batch))

    def with_precision(self, precision: Precision) -> "Job":
        """The same job, computed in another type."""
        return replace(self, parallel=replace(self.parallel, precision=precision))


def load(path: Path, changes: Iterable[str] = ()) -> Job:
    """Read a job file.

    Args:
        path: TOML file.
        changes: ``key=value`` each, the key as in ``train.steps``, the value as in TOML; plain text needs no quotes.

    Raises:
        JobError: If the file cannot be read, or a key or value is not allowed; names it.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as wrong:
        raise JobError(f"cannot read the job {path}: {wrong}; a job is a TOML file") from None
    changes = list(changes)
    for change in changes:
        _set(table, change)
    return from_table(table, where=" ".join([str(path), *(f"--set {change}" for change in changes)]))


def from_table(table: Mapping[str, Any], *, where: str = "job") -> Job:
    """Check a table and make a job of it.

    Raises:
        JobError: As `load`.
    """
    return build(Job, table, where=where, error=JobError)


def to_toml(job: Job) -> str:
    """Write a job with every default filled in; `load` reads it back."""
    table = to_table(job)
    plain = [
        f"{key} = {_literal(value)}"
        for key, value in table.items()
        if value is not None and not isinstance(value, dict)
    ]
    sections = [(key, value) for key, value in table.items() if isinstance(value, dict)]
    for name, section in sections:
        plain += ["", f"[{name}]"]
        plain += [f"{key} = {_literal(value)}" for key, value in section.items() if value is not None]
    return "\n".join(plain) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{_literal(key)} = {_literal(item)}' for key, item in value.items())} }}"
    return repr(value)


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    is_control = character < " " or character == "\x7f"
    return f"\\u{ord(character):04x}" if is_control else character


def _set(table: dict[str, Any], change: str) -> None:
    key, found, text = change.partition("=")
    if not found or not key.strip():
        raise JobError(f"--set {change!r}: write KEY=VALUE, for example train.steps=100")
    *sections, last = (part.strip() for part in key.split("."))
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise JobError(f"--set {change!r}: {section} is no section")
    try:
        table[last] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[last] = text.strip()
