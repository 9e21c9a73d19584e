"""What fujimi-sim adds to Fujimi: networks, collectives and the placement of ranks."""

from collections.abc import Sequence

from fujimi_core.device import Device
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.network import CollectiveAlgorithm, Topology
from fujimi_core.offers import Command, TopologyOffer
from fujimi_core.placement import Placement
from fujimi_core.workload import Kernel

from fujimi_sim.commands import commands
from fujimi_sim.kernels.model import kernel_seconds
from fujimi_sim.network.collectives.generic import GENERIC
from fujimi_sim.network.collectives.tofu import TOFU
from fujimi_sim.network.dragonfly import Dragonfly
from fujimi_sim.network.fat_tree import FatTree
from fujimi_sim.network.islands import NonBlocking
from fujimi_sim.network.placing import place
from fujimi_sim.network.rails import Rails
from fujimi_sim.network.tofu import Tofu
from fujimi_sim.network.torus import Torus
from fujimi_sim.network_commands import network_commands
from fujimi_sim.plan_commands import plan_commands
from fujimi_sim.published_commands import published_commands
from fujimi_sim.run_commands import run_commands
from fujimi_sim.validation_commands import validation_commands


@hookimpl
def fujimi_topologies() -> Sequence[TopologyOffer]:
    """Offer meshes and tori, Tofu, fat trees, rails and dragonflies, and an ideal switch."""
    return [
        TopologyOffer(name="torus", build=Torus.of),
        TopologyOffer(name="tofu", build=Tofu.of),
        TopologyOffer(name="fat_tree", build=FatTree.of),
        TopologyOffer(name="rails", build=Rails.of),
        TopologyOffer(name="dragonfly", build=Dragonfly.of),
        TopologyOffer(name="nonblocking", build=NonBlocking.of),
    ]


@hookimpl
def fujimi_collectives() -> Sequence[CollectiveAlgorithm]:
    """Offer algorithms that work on any network, and those of libraries for Tofu."""
    return [*GENERIC, *TOFU]


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer fujimi simulate, simulate-run, plan, network and validate."""
    return [
        *commands(),
        *run_commands(),
        *plan_commands(),
        *network_commands(),
        *validation_commands(),
        *published_commands(),
    ]


@hookimpl(trylast=True)
def fujimi_kernel_seconds(kernel: Kernel, device: Device) -> float:
    """Tell what the roofline says, unless another plugin knows better."""
    return kernel_seconds(kernel, device)


@hookimpl(trylast=True)
def fujimi_place_ranks(mesh: Mesh, machine: Machine, topology: Topology, nodes: int) -> Placement:
    """Place ranks on the nodes that the topology allocates, neighbours on a mesh axis close together."""
    return place(mesh, machine, topology, nodes=nodes)
