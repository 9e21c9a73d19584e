import dataclasses

import pytest
from fujimi_core.errors import MachineError
from fujimi_sim.network.islands import NonBlocking


def damaged(machine, **network):
    return dataclasses.replace(machine, network=dataclasses.replace(machine.network, **network))


def test_any_shape_of_so_many_nodes_is_as_good(machine_of):
    part = NonBlocking.of(machine_of(16)).allocate(12, shape=(3, 4))
    assert (part.shape, part.nodes.tolist()) == ((3, 4), list(range(12)))
    assert part.allocate(12) is part
    assert part.allocate(6).shape == (6,)
    with pytest.raises(MachineError, match="12 nodes cannot have the shape 3x5"):
        part.allocate(12, shape=(3, 5))


def test_dead_nodes_are_passed_over(machine_of):
    network = NonBlocking.of(damaged(machine_of(8), dead_nodes=(0, 3)))
    assert network.allocate(3).nodes.tolist() == [1, 2, 4]
    assert network.allocate(3).axes[0].extent == 5
    with pytest.raises(MachineError, match="7 of 6 nodes"):
        network.allocate(7)


def test_dead_parts_that_a_machine_does_not_have_are_refused(machine_of):
    with pytest.raises(MachineError, match="dead node 8 is not one of 8"):
        NonBlocking.of(damaged(machine_of(8), dead_nodes=(8,)))
    with pytest.raises(MachineError, match="dead links are for meshes, tori and tofu"):
        NonBlocking.of(damaged(machine_of(8), dead_links=((0, 1),)))
