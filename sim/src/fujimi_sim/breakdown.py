"""Where the time of a step goes: operator by operator, collective by collective."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, Kernel, Role, Send, Workload

from fujimi_sim.replay import Communication
from fujimi_sim.slices import neighbours, unchained

#: Name, phase, axes, bytes of the buffer, algorithm.
Kind: TypeAlias = tuple[str, str, tuple[str, ...], int, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """All work of one kind in a step; figures are means over ranks.

    Args:
        name: Operator, kind of collective, or ``send``.
        phase: Of the step.
        axes: Of the mesh, along which ranks communicate; none for an operator.
        buffer_bytes: One rank's buffer of each collective, or each message; 0 for an operator, which may have any.
        algorithm: Of a collective; empty for others.
        count: How often a rank does it.
        nbytes: Buffers of all of them together; for an operator what it reads and writes.
        seconds: All of them one after the other, without waiting for anybody, on ranks of average speed.
    """

    name: str
    phase: str
    axes: tuple[str, ...] = ()
    buffer_bytes: int = 0
    algorithm: str = ""
    count: float
    nbytes: float
    seconds: float

    @property
    def kind(self) -> Kind:
        """What it is, without how much of it."""
        return self.name, self.phase, self.axes, self.buffer_bytes, self.algorithm


def breakdown(
    workload: Workload, *, kernel_seconds: Callable[[Kernel], float], communication: Communication
) -> tuple[Part, ...]:
    """Add up what ranks do in a step, the longest first.

    A message is counted once, where it is sent. Communication is counted whether or not it is hidden behind kernels.

    Args:
        workload: What they do.
        kernel_seconds: Time of a kernel on a rank of average speed.
        communication: Time of collectives and messages.
    """
    mesh, world_size = workload.mesh, workload.mesh.world_size
    sums: dict[Kind, tuple[float, float, float]] = {}
    for role in unchained(mesh, workload.roles):
        for kind, ranks, nbytes, seconds in _work(role, mesh, kernel_seconds, communication):
            share = ranks / world_size
            total = sums.get(kind, (0.0, 0.0, 0.0))
            sums[kind] = total[0] + share, total[1] + share * nbytes, total[2] + share * seconds
    parts = [
        Part(
            name=name,
            phase=phase,
            axes=axes,
            buffer_bytes=buffer_bytes,
            algorithm=algorithm,
            count=count,
            nbytes=nbytes,
            seconds=seconds,
        )
        for (name, phase, axes, buffer_bytes, algorithm), (count, nbytes, seconds) in sums.items()
    ]
    return tuple(sorted(parts, key=lambda part: (-part.seconds, part.kind)))


def _work(
    role: Role, mesh: Mesh, kernel_seconds: Callable[[Kernel], float], communication: Communication
) -> Iterator[tuple[Kind, int, int, float]]:
    """Kind, ranks, bytes and seconds of each event of a role."""
    members = mesh.slice(role.where)
    senders: dict[tuple[str, int], int] = {}  # those whose receiver does not lie outside the mesh
    for event in role.events:
        if isinstance(event, Kernel):
            yield (event.op, event.phase, (), 0, ""), len(members), event.nbytes, kernel_seconds(event)
        elif isinstance(event, Collective):
            timing = communication.collective(event)
            kind = event.kind.value, event.phase, event.axes, event.nbytes, timing.algorithm
            yield kind, len(members), event.nbytes, timing.seconds
        elif isinstance(event, Send):
            way = event.axis, event.offset
            if way not in senders:
                receivers = neighbours(mesh, members, axis=event.axis, offset=event.offset)
                senders[way] = int(np.count_nonzero(receivers >= 0))
            seconds = communication.send(event, role.where).seconds
            yield (event.KIND, event.phase, (event.axis,), event.nbytes, ""), senders[way], event.nbytes, seconds
