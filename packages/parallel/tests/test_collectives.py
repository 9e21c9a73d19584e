import torch
from fujimi_core.mesh import Mesh
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.collectives import all_reduce, average, of_all_ranks
from fujimi_parallel.world import World

ALONE = World(rank=0, mesh=Mesh.of(dp=1))


def test_one_rank_has_nothing_to_wait_for():
    value = torch.tensor([3.0])
    assert average(value, ALONE) is None
    assert value.item() == 3.0
    assert of_all_ranks(5, ALONE) == [5]


def test_collectives_go_on_while_the_caller_computes():
    with fake_world(Mesh.of(dp=4)) as world:
        value = torch.ones(3)
        for work in (all_reduce(value), average(value, world)):
            assert work.wait()
