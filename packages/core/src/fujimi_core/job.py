"""Job: what the user wants trained, checked and with every default filled in."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from fujimi_core.checks import at_least, within
from fujimi_core.errors import JobError
from fujimi_core.records import build, to_table


class Precision(StrEnum):
    """Type in which matrix products are computed; parameters stay float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """``[model]``: which network.

    Args:
        name: One that a plugin offers.
        patch: Side of a patch [pixels].
        channels: Channels of the input; grey pictures are repeated.
        drop_path: Probability of leaving out a residual branch in the last block, rising linearly from 0.
    """

    name: str
    patch: int = 16
    channels: int = 3
    drop_path: float = 0.0

    def __post_init__(self) -> None:
        at_least(self, 1, "patch", "channels")
        if not 0 <= self.drop_path < 1:
            raise ValueError(f"drop_path is {self.drop_path}; it must be at least 0 and below 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """``[data]``: which pictures.

    Args:
        path: Directory of shards.
        family: Generator that made them, or makes them in a dry run.
        classes: Number of classes.
        instances: Pictures a class.
        pixels: Side of a picture [pixels].
    """

    path: str = "data"
    family: str
    classes: int
    instances: int
    pixels: int = 224

    def __post_init__(self) -> None:
        at_least(self, 1, "classes", "instances", "pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSpec:
    """``[train]``: how long and how much at once.

    Args:
        steps: Optimizer steps.
        global_batch: Samples of all ranks together a step; keeps its size whatever the ranks (strong scaling).
        batch_per_rank: Samples of each rank a step (weak scaling). Exactly one of the two is given.
        precision: Type of matrix products; ``auto`` is bfloat16 where the device has it.
        label_smoothing: Share of the target spread over all classes.
        checkpoint_every: Steps between checkpoints; 0 for one at the end only.
        out: Directory for checkpoints and logs.
    """

    steps: int
    global_batch: int | None = None
    batch_per_rank: int | None = None
    precision: Precision = Precision.AUTO
    label_smoothing: float = 0.0
    checkpoint_every: int = 0
    out: str = "runs"

    def __post_init__(self) -> None:
        at_least(self, 1, "steps")
        at_least(self, 0, "checkpoint_every")
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelSpec:
    """``[parallel]``: how ranks share the work.

    Args:
        bucket_bytes: Gradients are summed over the ranks in pieces of about this many bytes.
    """

    bucket_bytes: int = 25 * 2**20

    def __post_init__(self) -> None:
        at_least(self, 1, "bucket_bytes")


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

    def __post_init__(self) -> None:
        if self.data.pixels % self.model.patch:
            raise ValueError(f"data.pixels {self.data.pixels} is no multiple of model.patch {self.model.patch}")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed is {self.seed}; it must be from 0 to 2**63 - 1")

    def batch_on(self, ranks: int) -> int:
        """Samples of one rank a step, when the job runs on so many ranks.

        Raises:
            JobError: If the global batch cannot be dealt out evenly.
        """
        if ranks < 1:
            raise JobError(f"a job runs on at least one rank, not on {ranks}")
        if self.train.batch_per_rank is not None:
            return self.train.batch_per_rank
        batch = self.train.global_batch or 0
        if batch % ranks:
            raise JobError(
                f"job {self.name!r}: train.global_batch {batch:,} does not divide into {ranks:,} ranks; "
                f"use a multiple of {ranks:,}, other ranks, or train.batch_per_rank"
            )
        return batch // ranks

    def global_batch_on(self, ranks: int) -> int:
        """Samples of all ranks together a step, when the job runs on so many ranks.

        Raises:
            JobError: As `batch_on`.
        """
        return self.batch_on(ranks) * ranks

    def with_batch_per_rank(self, batch: int) -> "Job":
        """The same job with so many samples a rank, whatever the ranks (weak scaling)."""
        return replace(self, train=replace(self.train, global_batch=None, batch_per_rank=batch))

    def with_precision(self, precision: Precision) -> "Job":
        """The same job, computed in another type."""
        return replace(self, train=replace(self.train, precision=precision))


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
    plain = [f"{key} = {_literal(value)}" for key, value in table.items() if not isinstance(value, dict)]
    sections = [(key, value) for key, value in table.items() if isinstance(value, dict)]
    for name, section in sections:
        plain += ["", f"[{name}]"]
        plain += [f"{key} = {_literal(value)}" for key, value in section.items() if value is not None]
    return "\n".join(plain) + "\n"


def _literal(value: Any) -> str:
    if isinstance(value, str):
        return '"' + "".join(map(_escaped, value)) + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_literal, value))}]"
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
