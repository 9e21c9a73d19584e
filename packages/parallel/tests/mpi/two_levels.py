"""Collectives of four ranks on two nodes, which they are only told to be on."""

import functools
import itertools
import time

import torch
import torch._C._distributed_c10d as c10d
import torch.distributed as dist
from fujimi_parallel.mpi import lanes, team
from fujimi_parallel.mpi.group import MpiGroup
from harness import run_checks
from mpi4py import MPI
from torch.distributed import ReduceOp

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.bool)
LENGTHS = (1, 1000, 150_003)
#: Node of each rank: equal nodes, in two orders, nodes of different sizes, and nodes of one rank.
LAYOUTS = ((0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 1), (0, 1, 2, 3))


def rank():
    return dist.get_rank()


@functools.cache
def groups():
    """A group for each layout; torch's books do not know it, so its methods are called."""
    return [(layout, MpiGroup(MPI.COMM_WORLD.Dup(), node=layout[rank()])) for layout in LAYOUTS]


def tensors_of_all(length, dtype):
    generators = [torch.Generator().manual_seed(each) for each in range(4)]
    if dtype == torch.bool:
        return [torch.rand(length, generator=generator) < 0.5 for generator in generators]
    return [(torch.randn(length, generator=generator) * 5).to(dtype) for generator in generators]


def node_by_node(layout, tensors):
    """Sum over each node in rank order, then over the nodes; halves in float32, rounded once."""
    dtype = tensors[0].dtype
    wide = [tensor.float() if dtype in (torch.bfloat16, torch.float16) else tensor for tensor in tensors]
    nodes = []
    for node in sorted(set(layout)):
        mine = [tensor for tensor, where in zip(wide, layout, strict=True) if where == node]
        total = mine[0]
        for tensor in mine[1:]:
            total = total + tensor
        nodes.append(total)
    total = nodes[0]
    for each in nodes[1:]:
        total = total + each
    return total.to(dtype)


def same(found, expected, layout):
    """Bit by bit on two nodes; MPI may sum over more of them in any order."""
    if len(set(layout)) == 2 or found.dtype in (torch.bool, torch.int64):
        return torch.equal(found, expected)
    return torch.allclose(
        found.double(), expected.double(), rtol=1e-2 if found.element_size() == 2 else 1e-5, atol=1e-5
    )


def options(kind, **values):
    made = kind()
    made.asyncOp = False
    for name, value in values.items():
        setattr(made, name, value)
    return made


def check_sums_are_those_of_nodes_and_then_between_them():
    for layout, group in groups():
        for dtype, length in itertools.product(DTYPES, LENGTHS):
            tensors = tensors_of_all(length, dtype)
            mine = tensors[rank()].clone()
            group.allreduce([mine], options(dist.AllreduceOptions)).wait()
            assert same(mine, node_by_node(layout, tensors), layout), (layout, dtype, length)


def check_every_rank_gets_the_same_bits():
    for layout, group in groups():
        mine = tensors_of_all(100_003, torch.float32)[rank()].clone()
        group.allreduce([mine], options(dist.AllreduceOptions)).wait()
        everyones = [torch.empty_like(mine) for _ in range(4)]
        dist.all_gather(everyones, mine)
        assert all(torch.equal(each, mine) for each in everyones), layout


def check_means_and_extremes_are_right():
    for layout, group in groups():
        tensors = tensors_of_all(1000, torch.float32)
        mean = tensors[rank()].clone()
        group.allreduce([mean], options(dist.AllreduceOptions, reduceOp=ReduceOp.AVG)).wait()
        assert same(mean, node_by_node(layout, tensors) / 4, layout), layout
        least = tensors[rank()].clone()
        group.allreduce([least], options(dist.AllreduceOptions, reduceOp=ReduceOp.MIN)).wait()
        assert torch.equal(least, torch.stack(tensors).amin(0)), layout


def check_only_the_root_of_a_reduction_gets_it():
    for _, group in groups():
        mine = torch.full((1000,), float(rank()))
        group.reduce([mine], options(dist.ReduceOptions, rootRank=2)).wait()
        assert mine.unique().tolist() == ([6.0] if rank() == 2 else [float(rank())])


def check_reduce_scatter_gives_each_rank_its_part():
    for layout, group in groups():
        for dtype, length in itertools.product(DTYPES, LENGTHS):
            tensors = tensors_of_all(4 * length, dtype)
            out = torch.empty(length, dtype=dtype)
            group.reduce_scatter_single(out, tensors[rank()], options(dist.ReduceScatterOptions)).wait()
            expected = node_by_node(layout, tensors)[rank() * length :][:length]
            assert same(out, expected, layout), (layout, dtype, length)


def check_reduce_scatter_takes_different_sizes():
    for layout, group in groups():
        mine = [torch.full((each + 1,), 10.0 * rank() + each) for each in range(4)]
        out = torch.empty(rank() + 1)
        group.reduce_scatter([out], [mine], options(dist.ReduceScatterOptions)).wait()
        assert out.unique().tolist() == [60.0 + 4 * rank()], layout


def check_all_gather_and_broadcast_bring_what_others_have():
    for layout, group in groups():
        for length in LENGTHS:
            tensors = tensors_of_all(length, torch.float32)
            out = torch.empty(4 * length)
            group.all_gather_single(out, tensors[rank()], options(c10d.AllgatherOptions)).wait()
            assert torch.equal(out, torch.cat(tensors)), layout
            mine = tensors[rank()].clone()
            group.broadcast([mine], options(dist.BroadcastOptions, rootRank=3)).wait()
            assert torch.equal(mine, tensors[3]), layout


def check_all_gather_takes_different_sizes():
    for layout, group in groups():
        outs = [torch.empty(each + 1) for each in range(4)]
        group.allgather([outs], [torch.full((rank() + 1,), float(rank()))], options(c10d.AllgatherOptions)).wait()
        assert [out.unique().item() for out in outs] == [0.0, 1.0, 2.0, 3.0], layout


def check_long_messages_are_cut_into_pieces_that_mpi_can_count():
    lanes.PIECE_BYTES = team.PIECE_BYTES = 100_000
    try:
        check_every_rank_gets_the_same_bits()
        check_all_gather_takes_different_sizes()
        check_all_gather_and_broadcast_bring_what_others_have()
    finally:
        lanes.PIECE_BYTES = team.PIECE_BYTES = 2**30


def check_barrier_waits_for_all_nodes():
    for layout, group in groups():
        if rank() == 3:
            time.sleep(0.1)
        entered = time.monotonic()  # a clock that all processes of a machine share
        group.barrier(options(dist.BarrierOptions)).wait()
        left = time.monotonic()
        assert left >= max(MPI.COMM_WORLD.allgather(entered)), layout
        group.shutdown()


if __name__ == "__main__":
    run_checks(dict(globals()))
