"""What fujimi-sim adds to Fujimi: networks, collectives and the placement of ranks."""

from collections.abc import Sequence

from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Device, Machine
from fujimi_core.mesh import Mesh
from fujimi_core.network import CollectiveAlgorithm, Topology
from fujimi_core.offers import Command, TopologyOffer
from fujimi_core.placement import Placement
from fujimi_core.workload import Kernel

from fujimi_sim.commands import commands
from fujimi_sim.network.collectives.bucket import Bucket
from fujimi_sim.network.collectives.multiport import MultiportBucket
from fujimi_sim.network.collectives.ring import Ring
from fujimi_sim.network.collectives.trees import Binomial, Dissemination, RecursiveDoubling
from fujimi_sim.network.islands import NonBlocking
from fujimi_sim.network.placing import place
from fujimi_sim.network.torus import Torus
from fujimi_sim.roofline import kernel_seconds


@hookimpl
def fujimi_topologies() -> Sequence[TopologyOffer]:
    """Offer meshes and tori, and ideal fat trees."""
    return [TopologyOffer(name="torus", build=Torus.of), TopologyOffer(name="nonblocking", build=NonBlocking.of)]


@hookimpl
def fujimi_collectives() -> Sequence[CollectiveAlgorithm]:
    """Offer algorithms that work on any network."""
    return [Ring(), Bucket(), MultiportBucket(), RecursiveDoubling(), Binomial(), Dissemination()]


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer fujimi simulate."""
    return commands()


@hookimpl(trylast=True)
def fujimi_kernel_seconds(kernel: Kernel, device: Device) -> float:
    """Tell what the roofline says, unless another plugin knows better."""
    return kernel_seconds(kernel, device)


@hookimpl(trylast=True)
def fujimi_place_ranks(mesh: Mesh, machine: Machine, topology: Topology, nodes: int) -> Placement:
    """Place ranks on the nodes that the topology allocates, neighbours on a mesh axis close together."""
    return place(mesh, machine, topology, nodes=nodes)
