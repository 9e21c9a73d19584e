"""Load of the network in a whole step: the sum over its collectives and messages."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine, Network, NetworkAxis
from fujimi_core.mesh import Mesh
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel, Recv, Role, Send, Workload
from fujimi_sim import plugin
from fujimi_sim.network.heat import Heat
from fujimi_sim.simulation import Setting, simulate
from fujimi_sim.step_heat import step_heat

LINK = 1e9


class Ring:
    @hookimpl
    def fujimi_choose_collective(
        self, collective: Collective, members: int, machine: Machine, names: Sequence[str]
    ) -> str:
        return "ring"


@pytest.fixture
def plugins() -> Plugins:
    found = Plugins(strict=True)
    found.register(plugin, "sim")
    found.register(Ring(), "ring")
    return found


def line(machine: Machine, *, nodes: int, wrap: bool) -> Machine:
    """Nodes in a row, whose links carry 1 GB/s."""
    network = Network(
        topology="torus",
        axes=(NetworkAxis(name="x", extent=nodes, wrap=wrap),),
        link_bandwidth_bytes_per_s=LINK,
        hop_latency_s=0,
        message_latency_s=1e-6,
    )
    return replace(machine, nodes=nodes, network=network)


def heat_of(mesh: Mesh, roles: Sequence[Role], machine: Machine, plugins: Plugins) -> Heat:
    settings: list[Setting] = []
    workload = Workload(job="j", mesh=mesh, samples_per_step=1, roles=tuple(roles))
    simulate(workload, machine, machine.nodes, plugins=plugins, watch=settings.append)  # type: ignore[arg-type]
    return step_heat(settings[0], plugins=plugins)


def reduce(nbytes: int) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=nbytes, axes=("dp",), dtype="float32")


def test_collectives_of_a_step_add_up(machine: Machine, plugins: Plugins) -> None:
    events: tuple[Event, ...] = (reduce(6_000_000), reduce(12_000_000), reduce(6_000_000))
    role = Role(name="rank", events=events)
    found = heat_of(Mesh.of(dp=6), [role], line(machine, nodes=6, wrap=True), plugins)
    links = {each.name: each.seconds for each in found.links}
    np.testing.assert_allclose(links["+x"], 2 * 5 / 6 * 24e6 / LINK)
    np.testing.assert_allclose(links["-x"], 0)
    assert [axis.name for axis in found.axes] == ["x"]


def test_group_of_several_roles_is_counted_once(machine: Machine, plugins: Plugins) -> None:
    parts = [(0, 1), (1, 4), (4, 6)]
    roles = [Role(name=str(part), where={"dp": part}, events=(reduce(6_000_000),)) for part in parts]
    found = heat_of(Mesh.of(dp=6), roles, line(machine, nodes=6, wrap=True), plugins)
    np.testing.assert_allclose(found.links[0].seconds, 2 * 5 / 6 * 6e6 / LINK)


def test_messages_load_the_links_between_their_ends(machine: Machine, plugins: Plugins) -> None:
    # ranks 0 and 1 send two messages each to ranks 2 and 3: the link in the middle has all four
    first = Role(name="first", where={"pp": (0, 1)}, events=(Send(nbytes=10**6, axis="pp", offset=1),) * 2)
    last = Role(name="last", where={"pp": (1, 2)}, events=(Recv(nbytes=10**6, axis="pp", offset=-1),) * 2)
    found = heat_of(Mesh.of(pp=2, dp=2), [first, last], line(machine, nodes=4, wrap=False), plugins)
    links = {each.name: each.seconds for each in found.links}
    np.testing.assert_allclose(links["+x"], [2e-3, 4e-3, 2e-3, np.nan])
    nodes = {each.name: each.seconds for each in found.nodes}
    np.testing.assert_allclose(nodes["injection"], [2e-3, 2e-3, 0, 0])


def test_node_that_sends_and_receives_at_once_is_not_twice_as_busy(machine: Machine, plugins: Plugins) -> None:
    # a ring of three roles, as a trace of single ranks has it
    def role(part: tuple[int, int], offset: int, back: int) -> Role:
        events = Send(nbytes=10**6, axis="dp", offset=offset), Recv(nbytes=10**6, axis="dp", offset=back)
        return Role(name=str(part), where={"dp": part}, events=events)

    roles = [role((0, 1), 1, 3), role((1, 3), 1, -1), role((3, 4), -3, -1)]
    found = heat_of(Mesh.of(dp=4), roles, line(machine, nodes=4, wrap=True), plugins)
    nodes = {each.name: each.seconds for each in found.nodes}
    np.testing.assert_allclose(nodes["interface"], 1e-3)


def test_step_without_communication_loads_nothing(machine: Machine, plugins: Plugins) -> None:
    role = Role(name="rank", events=(Kernel(op="aten.mm", dtype="float32", flops=1, nbytes=1),))
    found = heat_of(Mesh.of(dp=2), [role], line(machine, nodes=2, wrap=True), plugins)
    assert (found.links, found.nodes, found.axes) == ((), (), ())
