from fujimi_core.hookspecs import hookimpl
from fujimi_core.mesh import Mesh
from fujimi_core.placement import fill_nodes
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.islands import NonBlocking
from fujimi_sim.network.torus import Torus


def test_machines_can_name_both_kinds_of_network(plugins, machine_of):
    assert isinstance(plugins.topology(machine_of(4)), Torus)
    assert isinstance(plugins.topology(machine_of(4, topology="nonblocking")), NonBlocking)


def test_every_kind_of_collective_has_an_algorithm(plugins):
    kinds = {kind for algorithm in plugins.collectives().values() for kind in algorithm.kinds}
    assert kinds == set(CollectiveKind)


def test_ranks_are_placed_unless_another_plugin_knows_better(plugins, machine_of):
    machine = machine_of(4)
    topology = plugins.topology(machine)
    assert plugins.place_ranks(Mesh.of(dp=4), machine, topology, 4).nodes.tolist() == [0, 1, 2, 3]

    class Backwards:
        @hookimpl
        def fujimi_place_ranks(self, topology, nodes):
            return fill_nodes(topology.allocate(nodes).nodes[::-1], ranks_per_node=1)

    plugins.register(Backwards(), "backwards")
    assert plugins.place_ranks(Mesh.of(dp=4), machine, topology, 4).nodes.tolist() == [3, 2, 1, 0]
