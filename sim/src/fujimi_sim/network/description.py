"""A machine's network in words and numbers, and the part of it that a job gets."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.machine_file import UNVERIFIED
from fujimi_core.network import Topology
from fujimi_core.records import to_table
from fujimi_core.units import format_quantity, unit_of

#: What of a node matters to its network.
_OF_A_NODE = (
    "devices",
    "interfaces",
    "interface_bandwidth_bytes_per_s",
    "injection_bandwidth_bytes_per_s",
    "peer_bandwidth_bytes_per_s",
)
#: Of long lists only so many are shown.
_FEW = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One number of a machine file, or several that belong together.

    Args:
        key: Where it stands in the file.
        value: As it is stored.
        shown: For people.
        source: Where it comes from; empty if the machine does not say.
    """

    key: str
    value: Any
    shown: str
    source: str

    @property
    def unverified(self) -> bool:
        """Whether no document was found for it."""
        return self.source.startswith(UNVERIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a job gets of a network.

    Args:
        nodes: That the job has.
        shape: The grid as which it sees them.
        axes: Axes of the network, or of the box that the job has of it.
        idle_nodes: Nodes on those axes that the job does not have.
        farthest_hops: Links on the longest route from the first node to another one.
    """

    nodes: int
    shape: tuple[int, ...]
    axes: tuple[NetworkAxis, ...]
    idle_nodes: int
    farthest_hops: int


def part_description(part: Topology) -> Part:
    """Describe a job's part of a network."""
    devices, nodes = part.machine.node.devices, part.nodes
    endpoints = nodes * devices
    places = math.prod(axis.extent for axis in part.axes) // devices
    return Part(
        nodes=len(nodes),
        shape=tuple(part.shape),
        axes=tuple(part.axes),
        idle_nodes=places - len(nodes),
        farthest_hops=int(part.routes(endpoints[:1].repeat(len(nodes)), endpoints).hops.max()),
    )


def quantities(machine: Machine) -> list[Quantity]:
    """Numbers of a machine that its network depends on, beside their sources."""
    table = to_table(machine)
    leaves: list[Quantity] = []
    for name in _OF_A_NODE:
        leaves += _leaves(table["node"][name], f"node.{name}", machine)
    for name, value in table["network"].items():
        if name == "axes":
            leaves += [_axis(axis, index, machine) for index, axis in enumerate(machine.network.axes)]
        elif name != "topology":
            leaves += _leaves(value, f"network.{name}", machine)
    return leaves


def axis_name(axis: NetworkAxis) -> str:
    """Write an axis.

    >>> axis_name(NetworkAxis(name="b", extent=3, wrap=True, unit=True))
    'b 3, wraps, in a unit'
    """
    return f"{axis.name} {axis.extent:,}" + ", wraps" * axis.wrap + ", in a unit" * axis.unit


def _axis(axis: NetworkAxis, index: int, machine: Machine) -> Quantity:
    key = f"network.axes[{index}]"
    return Quantity(
        key=key, value=to_table(axis), shown=axis_name(axis), source=machine.sources.get(f"{key}.extent", "")
    )


def _leaves(value: Any, key: str, machine: Machine) -> Iterator[Quantity]:
    """Each number below a key; a list of numbers is one. What the file leaves out and costs nothing is no number."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, f"{key}.{name}", machine)
    elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{key}[{index}]", machine)
    elif value not in (None, (), [], ""):
        source = _source(value, key, machine)
        if source or value not in (0, math.inf):
            yield Quantity(key=key, value=value, shown=_shown(value, key), source=source)


def _source(value: Any, key: str, machine: Machine) -> str:
    """Of a number, or of the first of several."""
    while isinstance(value, list | tuple):
        key, value = f"{key}[0]", value[0]
    return machine.sources.get(key, "")


def _shown(value: Any, key: str) -> str:
    unit = unit_of(key.rpartition(".")[2])
    if isinstance(value, list | tuple):
        return _listed(value)
    if unit is None and key.endswith("_bytes_per_hop"):
        unit = "B"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return format_quantity(value, unit) if unit else f"{value:,}"
    return str(value)


def _listed(values: Sequence[Any]) -> str:
    """Write the first of several numbers or pairs of numbers, and how many there are."""
    first = ", ".join(
        "-".join(map(str, each)) if isinstance(each, list | tuple) else str(each) for each in values[:_FEW]
    )
    return first if len(values) <= _FEW else f"{first}, … ({len(values):,} in all)"
