import pytest
import torch.distributed as dist
from fujimi_core.mesh import Mesh
from fujimi_parallel.axes import REPLICAS, Axes
from fujimi_parallel.capture.fake_world import fake_world

MESH = Mesh.of(tp=2, sp=3, dp=2, pp=2)
MADE = [("tp",), ("pp",), ("sp",), REPLICAS, MESH.names]


@pytest.mark.parametrize("rank", range(0, 24, 5))
def test_groups_are_those_of_the_mesh_and_indices_the_places_in_them(rank):
    with fake_world(MESH, rank=rank) as world:
        axes = Axes(world, MESH)
        for names in MADE:
            ranks = next(group for group in MESH.groups(names).tolist() if rank in group)
            group = axes.group(*names)
            assert dist.get_process_group_ranks(group) == ranks
            assert axes.extent(*names) == len(ranks)
            assert axes.index(*names) == ranks.index(rank)
        assert {name: axes.at(name) for name in MESH.names} == MESH.coordinates(rank)


def test_order_of_names_makes_no_difference():
    with fake_world(MESH, rank=7) as world:
        axes = Axes(world, MESH)
        assert axes.group("sp", "dp") is axes.group("dp", "sp")
        assert axes.everybody() is axes.group("pp", "dp", "sp", "tp")


def test_axis_of_one_rank_has_no_group_and_adds_nothing_to_others():
    mesh = Mesh.of(pp=2, dp=3, sp=1, tp=1)
    with fake_world(mesh, rank=4) as world:
        axes = Axes(world, mesh)
        assert axes.group("tp") is None
        assert axes.group(*REPLICAS) is axes.group("dp")
        assert axes.extent(*REPLICAS) == 3


def test_one_rank_is_alone():
    mesh = Mesh.of(pp=1, dp=1, sp=1, tp=1)
    with fake_world(mesh) as world:
        assert Axes(world, mesh).everybody() is None


def test_group_that_was_not_made_is_an_error():
    with fake_world(MESH) as world, pytest.raises(KeyError):
        Axes(world, MESH).group("tp", "pp")


def test_one_rank_of_each_group_speaks_for_the_others():
    speakers = []
    for rank in range(MESH.world_size):
        with fake_world(MESH, rank=rank) as world:
            if Axes(world, MESH).is_first("tp", "sp"):
                speakers.append(rank)
    assert speakers == MESH.slice({"tp": (0, 1), "sp": (0, 1)}).tolist()
