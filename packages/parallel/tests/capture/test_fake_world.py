import pytest
import torch
import torch.distributed as dist
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, Kernel
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.recorder import Recorder

WORLD = 158_976


def test_world_of_all_fugaku_is_one_process_that_is_left_clean():
    with fake_world(Mesh.of(dp=WORLD), rank=WORLD - 1) as world:
        assert (world.rank, world.size, world.captured) == (WORLD - 1, WORLD, True)
        assert dist.get_world_size() == WORLD
    assert not dist.is_initialized()


def test_process_that_has_joined_a_world_cannot_capture():
    with fake_world(Mesh.of(dp=2)), pytest.raises(RuntimeError, match="has joined"), fake_world(Mesh.of(dp=2)):
        pass


def test_truncated_normal_can_be_drawn_where_there_are_no_numbers():
    with fake_world(Mesh.of(dp=1)):
        weight = torch.nn.init.trunc_normal_(torch.empty(4, 4), std=0.02)
    assert weight.shape == (4, 4)
    assert torch.nn.init.trunc_normal_(torch.zeros(100)).any()


def test_kernel_waits_for_a_collective_from_where_the_program_waits():
    with fake_world(Mesh.of(dp=WORLD)), Recorder(Mesh.of(dp=WORLD)) as recorder:
        x = torch.ones(1000)
        y = x * 2
        work = dist.all_reduce(y, async_op=True)
        z = x * 3
        work.wait()
        y.add_(z)
    ones, times_2, reduce, times_3, add = recorder.events
    assert isinstance(reduce, Collective)
    assert (reduce.nbytes, reduce.axes, reduce.dtype, reduce.waits) == (4000, ("dp",), "float32", (1,))
    assert isinstance(ones, Kernel)
    assert times_2.waits == times_3.waits == ()
    assert add.waits == (2,)


def test_collective_that_blocks_holds_up_the_next_kernel():
    with fake_world(Mesh.of(dp=4)), Recorder(Mesh.of(dp=4)) as recorder:
        x = torch.ones(8)
        dist.all_reduce(x)
        x.add_(1)
    assert recorder.events[-1].waits == (1,)
