"""Where all communication of one step keeps links and interfaces busy, and how long."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Role, Send

from fujimi_sim.network.heat import Busy, Heat, heat
from fujimi_sim.simulation import Setting
from fujimi_sim.slices import neighbours


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """Collectives of one role that send the same messages, whatever their size."""

    kind: CollectiveKind
    axes: tuple[str, ...]
    algorithm: str


def step_heat(setting: Setting, *, plugins: Plugins) -> Heat:
    """Load of all links and interfaces in one step: bytes over bandwidth, as `network.heat` has it for one collective.

    A group of ranks of several roles is counted once, with the role of its first rank.

    Args:
        setting: What is communicated where.
        plugins: Who offers collectives.
    """
    sent = [each for role in setting.workload.roles for each in _collectives(role, setting, plugins)]
    found = [heat(phases, setting.topology, nbytes) for phases, nbytes in (*sent, *_sends(setting))]
    return Heat(
        links=_together(found, lambda each: each.links),
        nodes=_together(found, lambda each: each.nodes),
        axes=next((each.axes for each in found if each.axes), ()),
    )


def _collectives(role: Role, setting: Setting, plugins: Plugins) -> Iterator[tuple[Sequence[Phase], int]]:
    """Messages of a role's collectives, and the bytes of those with the same messages."""
    nbytes: dict[_Operation, int] = defaultdict(int)
    times: dict[_Operation, int] = defaultdict(int)
    for event in role.events:
        if isinstance(event, Collective):
            algorithm = setting.communication.collective(event).algorithm
            operation = _Operation(kind=event.kind, axes=event.axes, algorithm=algorithm)
            nbytes[operation] += event.nbytes
            times[operation] += 1
    for operation, together in nbytes.items():
        groups = _groups(role, operation.axes, setting)
        if not len(groups) or groups.shape[1] == 1:
            continue
        offered = plugins.collectives()[operation.algorithm]
        phases = offered.phases(operation.kind, groups, topology=setting.topology) or ()
        often = times[operation]
        yield [replace(each, fixed_bytes=often * each.fixed_bytes) for each in phases], together


def _sends(setting: Setting) -> Iterator[tuple[Sequence[Phase], int]]:
    """Messages of all roles, those of the same size at once: a node sends and receives at the same time."""
    workload, places = setting.workload, _endpoints(setting)
    ends: dict[int, list[tuple[Endpoints, Endpoints]]] = defaultdict(list)
    for role in workload.roles:
        nbytes: dict[tuple[str, int], int] = defaultdict(int)
        for event in role.events:
            if isinstance(event, Send):
                nbytes[event.axis, event.offset] += event.nbytes
        senders = workload.ranks(role)
        for (axis, offset), together in nbytes.items():
            receivers = neighbours(workload.mesh, senders, axis=axis, offset=offset)
            exist = receivers >= 0
            ends[together].append((places[senders[exist]], places[receivers[exist]]))
    for together, pairs in ends.items():
        src, dst = (np.concatenate(each) for each in zip(*pairs, strict=True))
        yield [Phase(src=src, dst=dst)], together


def _groups(role: Role, axes: Sequence[str], setting: Setting) -> Endpoints:
    """Endpoints of the groups whose first rank has the role, shape (groups, members)."""
    groups = setting.workload.mesh.groups(axes)
    mine = np.isin(groups[:, 0], setting.workload.ranks(role))
    return _endpoints(setting)[groups[mine]]


def _endpoints(setting: Setting) -> Endpoints:
    return setting.placement.nodes * setting.machine.node.devices + setting.placement.devices


def _together(found: Sequence[Heat], part: Callable[[Heat], Sequence[Busy]]) -> tuple[Busy, ...]:
    """Loads of the same links one after the other; a link that only some cross is idle for the others."""
    kinds: dict[str, Busy] = {}
    for each in (busy for one in found for busy in part(one)):
        before = kinds.get(each.name)
        kinds[each.name] = replace(each, seconds=_sum(before, each)) if before else each
    return tuple(kinds.values())


def _sum(one: Busy, other: Busy) -> np.typing.NDArray[np.float64]:
    nowhere = np.isnan(one.seconds) & np.isnan(other.seconds)
    total = np.nan_to_num(one.seconds) + np.nan_to_num(other.seconds)
    return np.where(nowhere, np.nan, total)
