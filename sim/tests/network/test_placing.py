import math

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_core.mesh import Mesh
from fujimi_sim.network.collectives.grid import grid
from fujimi_sim.network.islands import NonBlocking
from fujimi_sim.network.placing import nested_snake, place
from fujimi_sim.network.tofu import Tofu
from fujimi_sim.network.torus import Torus
from hypothesis import given
from hypothesis import strategies as st


def test_one_mesh_axis_fills_nodes_in_the_order_of_the_topology(fugaku):
    torus = Torus.of(fugaku)
    placement = place(Mesh.of(dp=384), fugaku, torus, nodes=384)
    assert placement.nodes.tolist() == torus.allocate(384).nodes.tolist()


@pytest.mark.parametrize("axis", ["dp", "pp", "tp"])
def test_groups_along_every_mesh_axis_are_on_grids(fugaku, axis):
    mesh = Mesh.of(dp=288, pp=8, tp=6)
    part = Torus.of(fugaku).allocate(mesh.world_size)
    placement = place(mesh, fugaku, part, nodes=mesh.world_size)
    assert len(np.unique(placement.nodes)) == mesh.world_size
    assert grid(placement.nodes[mesh.groups([axis])], part) is not None


def test_neighbours_along_the_last_mesh_axis_are_one_hop_apart(fugaku):
    mesh = Mesh.of(dp=64, tp=6)
    part = Torus.of(fugaku).allocate(384)
    groups = place(mesh, fugaku, part, nodes=384).nodes[mesh.groups(["tp"])]
    assert part.routes(groups[:, :-1].ravel(), groups[:, 1:].ravel()).hops.max() == 1


def test_ranks_of_a_node_are_consecutive(machine_of):
    machine = machine_of(4, 4, devices=4, peer_bandwidth_bytes_per_s=1e9)
    placement = place(Mesh.of(dp=4, tp=8), machine, Torus.of(machine), nodes=8)
    assert placement.devices.tolist() == [0, 1, 2, 3] * 8
    assert (placement.nodes.reshape(8, 4) == placement.nodes[::4, None]).all()


def test_nodes_without_distances_are_filled_in_order(machine_of):
    machine = machine_of(8, topology="nonblocking", devices=4, peer_bandwidth_bytes_per_s=1e9)
    placement = place(Mesh.of(dp=3, pp=2, tp=2), machine, NonBlocking.of(machine), nodes=3)
    assert placement.nodes.tolist() == [0] * 4 + [1] * 4 + [2] * 4


@pytest.mark.parametrize(("shape", "nodes"), [({"dp": 7}, 7), ({"dp": 1, "tp": 7}, 7)])
def test_a_job_that_fills_no_box_takes_nodes_in_order(machine_of, shape, nodes):
    machine = machine_of(4, 4)
    placement = place(Mesh.of(**shape), machine, Torus.of(machine), nodes=nodes)
    assert placement.nodes.tolist() == Torus.of(machine).allocate(nodes).nodes.tolist()


def test_a_mesh_that_does_not_fit_the_devices_takes_nodes_in_order(machine_of):
    machine = machine_of(3, 3, devices=4, peer_bandwidth_bytes_per_s=1e9)
    placement = place(Mesh.of(dp=6, tp=6), machine, Torus.of(machine), nodes=9)
    assert placement.nodes[::4].tolist() == Torus.of(machine).nodes.tolist()


def test_a_mesh_must_have_one_rank_for_each_device(machine_of):
    machine = machine_of(4, devices=2, peer_bandwidth_bytes_per_s=1e9)
    with pytest.raises(MachineError, match=r"4 nodes of 'test' have 8 devices.*the mesh has 6 ranks"):
        place(Mesh.of(dp=6), machine, Torus.of(machine), nodes=4)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_every_point_of_a_mesh_has_its_own_place_in_the_box(extents, data):
    shape, left = [], math.prod(extents)
    for _ in range(data.draw(st.integers(0, 3))):
        shape.append(data.draw(st.sampled_from([each for each in range(1, left + 1) if left % each == 0])))
        left //= shape[-1]
    coordinates = nested_snake([left, *shape], extents)
    assert len(np.unique(np.ravel_multi_index(tuple(coordinates), extents))) == math.prod(extents)


def test_tensor_parallel_groups_of_fugaku_llm_stay_in_one_tofu_unit_each(fugaku):
    # Fugaku-LLM 13B: pipeline 8, data 288, tensor 6, on 48x6x48 nodes (DeepSpeedFugaku, scripts/13b).
    mesh = Mesh.of(pp=8, dp=288, tp=6)
    tofu = Tofu.of(fugaku)
    placement = place(mesh, fugaku, tofu.allocate(13_824, shape=(48, 6, 48)), nodes=13_824)
    assert len(np.unique(placement.nodes)) == 13_824
    units = placement.nodes[mesh.groups(("tp",))] // 12
    assert (units == units[:, :1]).all()
