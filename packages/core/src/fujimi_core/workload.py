"""Workload: what every rank does in one step, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fujimi_core.checks import at_least
from fujimi_core.mesh import Mesh


class Stream(StrEnum):
    """Queues of one rank; events of the same stream run one after the other."""

    COMPUTE = "compute"
    COMMUNICATION = "communication"
    #: Messages on their way out, for which no collective has to wait.
    SENDING = "sending"


class CollectiveKind(StrEnum):
    """Collective operations."""

    ALL_REDUCE = "all_reduce"
    REDUCE_SCATTER = "reduce_scatter"
    ALL_GATHER = "all_gather"
    ALL_TO_ALL = "all_to_all"
    BROADCAST = "broadcast"
    REDUCE = "reduce"
    GATHER = "gather"
    SCATTER = "scatter"
    BARRIER = "barrier"


class Trait(StrEnum):
    """What the shapes of an operator do not tell, and its time depends on."""

    #: Attention of tokens to earlier ones only: half of the arithmetic, which ``flops`` counts, is left out.
    CAUSAL = "causal"
    #: Rows of some matrix begin off a multiple of 4 bytes, the least that GPUs copy aside (PTX ISA, ``cp.async``).
    UNALIGNED = "unaligned"
    #: Elements are read in another order than they are written.
    STRIDED = "strided"
    #: An activation by a hyperbolic tangent, where the operator has another formula too.
    TANH = "tanh"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One operator on one rank.

    Args:
        op: Name of the operator, for example ``aten.addmm``.
        shapes: Shapes of its tensor arguments.
        dtype: Type it computes in, for example ``float32``.
        flops: Floating-point operations.
        nbytes: Bytes read and written, each tensor once.
        outside_bytes: Of these, what comes from or goes to tensors that are offloaded.
        phase: ``forward``, ``backward`` or ``optimizer``.
        traits: What else its time depends on.
        waits: Indices of earlier events of the role that must have ended, besides the one before on the stream.
        seconds: Time that somebody measured, which no model of a device is asked for then; None for a capture.
    """

    KIND: ClassVar[str] = "kernel"
    op: str
    shapes: tuple[tuple[int, ...], ...] = ()
    dtype: str
    flops: int
    nbytes: int
    outside_bytes: int = 0
    phase: str = ""
    traits: tuple[Trait, ...] = ()
    stream: Stream = Stream.COMPUTE
    waits: tuple[int, ...] = ()
    seconds: float | None = None

    def __post_init__(self) -> None:
        at_least(self, 0, "flops", "nbytes", "outside_bytes", *(["seconds"] if self.seconds is not None else []))


@dataclass(frozen=True, slots=True, kw_only=True)
class Collective:
    """One collective, by all groups along the axes at the same time.

    Args:
        kind: Which operation.
        nbytes: Bytes of one rank's whole buffer: the vector of an all-reduce, the result of an all-gather.
        axes: Mesh axes along which the groups lie.
        dtype: Type of the elements.
        waits: As in `Kernel`.
    """

    KIND: ClassVar[str] = "collective"
    kind: CollectiveKind
    nbytes: int
    axes: tuple[str, ...]
    dtype: str
    phase: str = ""
    stream: Stream = Stream.COMMUNICATION
    waits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        at_least(self, 0, "nbytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A message to the rank ``offset`` further along an axis; it ends when the receiver has it."""

    KIND: ClassVar[str] = "send"
    nbytes: int
    axis: str
    offset: int
    phase: str = ""
    stream: Stream = Stream.SENDING
    waits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        at_least(self, 0, "nbytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recv:
    """A message from the rank ``offset`` further along an axis (negative: before it)."""

    KIND: ClassVar[str] = "recv"
    nbytes: int
    axis: str
    offset: int
    phase: str = ""
    stream: Stream = Stream.COMMUNICATION
    waits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        at_least(self, 0, "nbytes")


Event = Kernel | Collective | Send | Recv
EVENTS: dict[str, type[Event]] = {kind.KIND: kind for kind in (Kernel, Collective, Send, Recv)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """High-water mark of one rank's memory and what was alive then, in bytes.

    Args:
        peak_bytes: All of it.
        parameter_bytes: With copies that the optimizer updates.
        gradient_bytes: That stay from one microbatch to the next.
        optimizer_bytes: State of the optimizer.
        activation_bytes: What the way forward made, or made again, and has not let go.
        buffer_bytes: What data-parallel and sequence-parallel ranks send each other, and collect.
        workspace_bytes: What the way backward or the optimizer made and has not let go.
    """

    peak_bytes: int = 0
    parameter_bytes: int = 0
    gradient_bytes: int = 0
    optimizer_bytes: int = 0
    activation_bytes: int = 0
    buffer_bytes: int = 0
    workspace_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """Ranks that run the same events.

    Args:
        name: For reports.
        where: Half-open interval on each mesh axis; axes that are not named are whole.
        events: What each of these ranks does, in order of issue.
        memory: High-water mark of one of these ranks.
    """

    name: str
    where: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    events: tuple[Event, ...]
    memory: Memory = Memory()

    def __post_init__(self) -> None:
        for index, event in enumerate(self.events):
            if any(not 0 <= wait < index for wait in event.waits):
                raise ValueError(
                    f"role {self.name!r}: event {index} waits for {event.waits}; only earlier ones can be waited for"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One training step of every rank of a mesh.

    Args:
        job: Name of the job it was captured from.
        mesh: The ranks.
        samples_per_step: Samples that all ranks together consume in the step.
        roles: Every rank belongs to exactly one.
    """

    job: str
    mesh: Mesh
    samples_per_step: int
    roles: tuple[Role, ...]

    def __post_init__(self) -> None:
        if self.samples_per_step < 1:
            raise ValueError(f"samples_per_step is {self.samples_per_step}; at least 1 is needed")
        if not self.roles:
            raise ValueError("a workload needs at least one role")
        times = np.bincount(np.concatenate([self.ranks(role) for role in self.roles]), minlength=self.mesh.world_size)
        if (times != 1).any():
            rank = int(np.flatnonzero(times != 1)[0])
            raise ValueError(f"every rank has one role, but rank {rank} has {times[rank]}")
        for role in self.roles:
            for event in role.events:
                for axis in _axes(event):
                    self.mesh.index(axis)

    def ranks(self, role: Role) -> NDArray[np.int64]:
        """Ranks of a role."""
        return self.mesh.slice(role.where)

    @property
    def memory(self) -> Memory:
        """Of the rank that needs most."""
        return max((role.memory for role in self.roles), key=lambda memory: memory.peak_bytes)

    @property
    def flops(self) -> int:
        """Floating-point operations of all ranks in the step."""
        return sum(
            len(self.ranks(role)) * sum(event.flops for event in role.events if isinstance(event, Kernel))
            for role in self.roles
        )


def _axes(event: Event) -> tuple[str, ...]:
    if isinstance(event, Collective):
        return event.axes
    return (event.axis,) if isinstance(event, Send | Recv) else ()
