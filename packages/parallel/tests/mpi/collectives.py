"""Collectives of the backend "mpi" on three ranks, against what one process computes."""

import functools
import itertools
import time
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.distributed._functional_collectives as functional
from fujimi_parallel.mpi import lanes, team
from harness import run_checks
from torch.distributed import ReduceOp
from torch.utils._python_dispatch import TorchDispatchMode

HALVES = (torch.bfloat16, torch.float16)
FLOATS = (torch.float32, torch.float64, *HALVES)
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)
#: Elements: within what one barrier moves, one block, several blocks; not divisible by the ranks.
LENGTHS = (1, 1000, 70_001, 500_003)


def rank():
    return dist.get_rank()


def ranks():
    return dist.get_world_size()


def tensors_of_all(length, dtype):
    """The same on every rank: what each of them has."""
    generators = [torch.Generator().manual_seed(each) for each in range(ranks())]
    if dtype == torch.bool:
        return [torch.rand(length, generator=generator) < 0.5 for generator in generators]
    return [(torch.randn(length, generator=generator) * 5).to(dtype) for generator in generators]


def in_rank_order(combine, tensors):
    """Sequential combination by one process, in float32 for halves, rounded once."""
    dtype = tensors[0].dtype
    wide = [tensor.float() if dtype in HALVES else tensor for tensor in tensors]
    return functools.reduce(combine, wide).to(dtype)


def check_sums_equal_those_of_one_process_in_rank_order_bit_by_bit():
    for dtype, length in itertools.product((*FLOATS, *INTEGERS, torch.bool), LENGTHS):
        tensors = tensors_of_all(length, dtype)
        mine = tensors[rank()].clone()
        dist.all_reduce(mine)
        assert torch.equal(mine, in_rank_order(torch.add, tensors)), (dtype, length)


def check_products_and_extremes_equal_those_of_one_process():
    operations = {ReduceOp.PRODUCT: torch.mul, ReduceOp.MIN: torch.minimum, ReduceOp.MAX: torch.maximum}
    for (op, combine), dtype in itertools.product(operations.items(), (*FLOATS, torch.int32, torch.bool)):
        tensors = tensors_of_all(70_001, dtype)
        mine = tensors[rank()].clone()
        dist.all_reduce(mine, op)
        assert torch.equal(mine, in_rank_order(combine, tensors)), (op, dtype)


def check_bits_are_combined():
    operations = {ReduceOp.BAND: torch.bitwise_and, ReduceOp.BOR: torch.bitwise_or, ReduceOp.BXOR: torch.bitwise_xor}
    for op, combine in operations.items():
        tensors = tensors_of_all(1000, torch.int32)
        mine = tensors[rank()].clone()
        dist.all_reduce(mine, op)
        assert torch.equal(mine, in_rank_order(combine, tensors)), op


def check_mean_is_the_sum_divided_and_of_integers_towards_zero():
    for dtype, length in itertools.product((torch.float32, torch.bfloat16), LENGTHS):
        tensors = tensors_of_all(length, dtype)
        mine = tensors[rank()].clone()
        dist.all_reduce(mine, ReduceOp.AVG)
        wide = [tensor.float() for tensor in tensors]
        assert torch.equal(mine, (functools.reduce(torch.add, wide) / ranks()).to(dtype)), (dtype, length)
    integers = torch.tensor([-7, 7]) if rank() == 0 else torch.zeros(2, dtype=torch.int64)
    dist.all_reduce(integers, ReduceOp.AVG)
    assert integers.tolist() == [-2, 2]


def check_sum_does_not_depend_on_the_place_in_a_message():
    tensors = tensors_of_all(1000, torch.float32)
    alone = tensors[rank()].clone()
    dist.all_reduce(alone)
    for before in (1, 65_000, 131_071):
        message = torch.cat([torch.zeros(before), tensors[rank()], torch.zeros(77_777)])
        dist.all_reduce(message)
        assert torch.equal(message[before : before + 1000], alone), before


def check_tensors_that_are_not_contiguous_are_reduced_and_gathered():
    tensors = [tensor.view(300, 200) for tensor in tensors_of_all(60_000, torch.float32)]
    mine = tensors[rank()].clone().t()
    dist.all_reduce(mine)
    assert torch.equal(mine, in_rank_order(torch.add, tensors).t())
    out = torch.empty(200, 300 * ranks()).t()
    dist.all_gather_single(out, tensors[rank()].t().contiguous().t())
    assert torch.equal(out, torch.cat(tensors))


def check_several_tensors_are_reduced_as_one_operation():
    some = [torch.full((5,), float(rank())), torch.full((3,), 10.0 * rank())]
    with dist._coalescing_manager():
        for tensor in some:
            dist.all_reduce(tensor)
    assert [tensor.tolist() for tensor in some] == [[3.0] * 5, [30.0] * 3]


def check_only_the_root_of_a_reduction_gets_it():
    for length in LENGTHS:
        mine = torch.full((length,), float(rank() + 1))
        dist.reduce(mine, dst=1)
        assert mine.unique().tolist() == ([6.0] if rank() == 1 else [rank() + 1.0])


def check_broadcast_brings_the_tensor_of_the_root():
    for length, root in itertools.product(LENGTHS, range(3)):
        tensors = tensors_of_all(length, torch.float64)
        mine = tensors[rank()].clone()
        dist.broadcast(mine, root)
        assert torch.equal(mine, tensors[root])


def check_all_gather_brings_tensors_of_any_sizes():
    for length in LENGTHS:
        tensors = [torch.full((length + each,), each) for each in range(3)]
        outs = [torch.empty_like(tensor) for tensor in tensors]
        dist.all_gather(outs, tensors[rank()])
        assert all(map(torch.equal, outs, tensors))


def check_all_gather_works_in_place():
    for length in LENGTHS:
        tensors = tensors_of_all(length, torch.bfloat16)
        out = torch.zeros(3 * length, dtype=torch.bfloat16)
        mine = out[rank() * length : (rank() + 1) * length]
        mine.copy_(tensors[rank()])
        dist.all_gather_single(out, mine)
        assert torch.equal(out, torch.cat(tensors))


def check_several_tensors_are_gathered_and_scattered_as_one_operation():
    tensors = tensors_of_all(6, torch.float32)
    gathered = [torch.empty(18), torch.empty(9)]
    with dist._coalescing_manager():
        dist.all_gather_single(gathered[0], tensors[rank()])
        dist.all_gather_single(gathered[1], tensors[rank()][:3].contiguous())
    assert torch.equal(gathered[0], torch.cat(tensors))
    assert torch.equal(gathered[1], torch.cat([tensor[:3] for tensor in tensors]))
    scattered = [torch.empty(2), torch.empty(1)]
    with dist._coalescing_manager():
        dist.reduce_scatter_single(scattered[0], tensors[rank()])
        dist.reduce_scatter_single(scattered[1], tensors[rank()][:3].contiguous())
    total = in_rank_order(torch.add, tensors)
    assert torch.equal(scattered[0], total[2 * rank() : 2 * rank() + 2])
    assert torch.equal(scattered[1], total[rank() : rank() + 1])


def check_lists_of_tensors_are_gathered_as_one_operation():
    outs = [[torch.empty(2), torch.empty(3)] for _ in range(3)]
    dist.group.WORLD.allgather_coalesced(
        outs, [torch.full((2,), float(rank())), torch.full((3,), -float(rank()))]
    ).wait()
    assert [[out.unique().item() for out in each] for each in outs] == [[0.0, 0.0], [1.0, -1.0], [2.0, -2.0]]


def check_reduce_scatter_equals_one_process_bit_by_bit():
    for dtype, length in itertools.product((*FLOATS, torch.int64), LENGTHS):
        tensors = tensors_of_all(3 * length, dtype)
        out = torch.empty(length, dtype=dtype)
        dist.reduce_scatter_single(out, tensors[rank()])
        assert torch.equal(out, in_rank_order(torch.add, tensors)[rank() * length :][:length]), (dtype, length)


def check_reduce_scatter_takes_tensors_of_different_sizes():
    mine = [torch.full((70_000 + each,), 10.0 * rank() + each) for each in range(3)]
    out = torch.empty(70_000 + rank())
    dist.reduce_scatter(out, mine, ReduceOp.AVG)
    assert out.unique().tolist() == [10.0 + rank()]


def check_gather_and_scatter_go_through_the_root():
    mine = torch.full((4,), float(rank()))
    outs = [torch.empty(4) for _ in range(3)] if rank() == 2 else None
    dist.gather(mine, outs, dst=2)
    assert outs is None or [out[0].item() for out in outs] == [0.0, 1.0, 2.0]
    dist.scatter(mine, outs, src=2)
    assert mine.tolist() == [float(rank())] * 4


def check_all_to_all_takes_even_and_uneven_splits():
    mine = torch.arange(6.0) + 10 * rank()
    out = torch.empty(6)
    dist.all_to_all_single(out, mine)
    assert out.tolist() == [10.0 * source + 2 * rank() + each for source in range(3) for each in range(2)]
    rows = torch.full((6, 2), float(rank()))  # rank r gets r + 1 rows of each
    out = torch.empty(3 * (rank() + 1), 2)
    dist.all_to_all_single(out, rows, [rank() + 1] * 3, [1, 2, 3])
    assert out[:, 1].tolist() == [float(source) for source in range(3) for _ in range(rank() + 1)]


def check_all_to_all_takes_lists():
    mine = [torch.full((rank() + target,), 10.0 * rank() + target) for target in range(3)]
    outs = [torch.empty(source + rank()) for source in range(3)]
    dist.all_to_all(outs, mine)
    assert all(torch.equal(out, torch.full_like(out, 10.0 * source + rank())) for source, out in enumerate(outs))


def check_messages_are_told_apart_by_tag_and_their_sender_is_told():
    if rank() == 0:
        works = [dist.isend(torch.full((3,), float(tag)), 1, tag=tag) for tag in (5, 6)]
        for work in works:
            work.wait()
    if rank() == 1:
        first, second = torch.empty(3), torch.empty(3)
        assert dist.recv(second, src=0, tag=6) == 0
        assert dist.recv(first, tag=5) == 0
        assert (first[0].item(), second[0].item()) == (5.0, 6.0)
    dist.barrier()


def check_messages_in_both_directions_do_not_block_each_other():
    length = 1_000_000
    out = torch.empty(length)
    towards, source = (rank() + 1) % 3, (rank() - 1) % 3
    mine = torch.full((length,), float(rank()))
    operations = [dist.P2POp(dist.isend, mine, towards), dist.P2POp(dist.irecv, out, source)]
    for work in dist.batch_isend_irecv(operations):
        work.wait()
    assert out.unique().tolist() == [float(source)]


def check_objects_travel():
    found = [None] * 3
    dist.all_gather_object(found, {"rank": rank()})
    assert found == [{"rank": each} for each in range(3)]
    objects = ["from", 1] if rank() == 1 else [None, None]
    dist.broadcast_object_list(objects, src=1)
    assert objects == ["from", 1]


def check_groups_of_some_ranks_work_among_themselves():
    group = dist.new_group([0, 2])
    if rank() != 1:
        mine = torch.tensor([float(rank())])
        dist.all_reduce(mine, group=group)
        assert mine.item() == 2.0
        assert dist.get_process_group_ranks(group) == [0, 2]
        dist.destroy_process_group(group)


def check_members_make_a_group_without_the_others():
    if rank() != 0:
        group = dist.new_group([1, 2], use_local_synchronization=True)
        mine = torch.tensor([float(rank())])
        dist.all_reduce(mine, group=group)
        assert mine.item() == 3.0


def check_functional_collectives_work():
    mine = torch.full((4,), float(rank()))
    assert functional.all_reduce(mine, "sum", dist.group.WORLD).tolist() == [3.0] * 4
    assert functional.all_gather_single(mine, 0, dist.group.WORLD)[::4].tolist() == [0.0, 1.0, 2.0]
    three = torch.arange(3.0)
    assert functional.reduce_scatter_single(three, "avg", 0, dist.group.WORLD).tolist() == [float(rank())]
    assert functional.all_to_all_single(three, None, None, dist.group.WORLD).tolist() == [float(rank())] * 3


def check_asynchronous_collective_leaves_the_caller_free():
    mine = torch.ones(10)
    if rank() == 0:  # the others enter only when they hear from rank 0, which has entered before
        work = dist.all_reduce(mine, async_op=True)
        for target in (1, 2):
            dist.send(torch.ones(1), target)
        work.wait()
    else:
        dist.recv(torch.ones(1), 0)
        dist.all_reduce(mine)
    assert mine.tolist() == [3.0] * 10


def check_collectives_of_a_group_run_in_the_order_of_their_calls():
    mine = torch.ones(200_000)
    works = [dist.all_reduce(mine, async_op=True) for _ in range(5)]
    dist.all_reduce(mine)  # behind the others although nobody has waited for them
    assert mine.unique().tolist() == [3.0**6]
    assert all(work.is_completed() for work in works)


def check_future_carries_the_result():
    for length in LENGTHS:
        mine = torch.ones(length)
        future = dist.all_reduce(mine, async_op=True).get_future()
        (result,) = future.then(lambda done: [2 * tensor for tensor in done.value()]).wait()
        assert result.unique().tolist() == [6.0]


def check_failure_in_the_background_is_told_with_operation_and_group():
    group = dist.new_group()
    wrong = dist.all_gather([torch.empty(2)], torch.empty(2), group=group, async_op=True)
    with pytest.raises(RuntimeError, match=rf"all_gather on rank {rank()} of group \d+ \(3 ranks\) failed: .*"):
        wrong.wait()
    with pytest.raises(RuntimeError, match=r"all_gather on rank . of group . \(3 ranks\) failed"):
        wrong.get_future().wait()


def check_rank_that_does_not_come_is_named():
    group = dist.new_group()
    dist.barrier(group)
    group.set_timeout(timedelta(seconds=1.0))
    if rank() != 1:
        with pytest.raises(RuntimeError, match=r"all_reduce .* failed: waiting for rank 1 of the 3 .* within 1 s"):
            dist.all_reduce(torch.ones(1), group=group)
    time.sleep(1.5)


def check_what_cannot_be_reduced_is_refused_with_a_way_out():
    with pytest.raises(TypeError, match=r"complex64 cannot be reduced over ranks; convert"):
        dist.group.WORLD.allreduce([torch.ones(1, dtype=torch.complex64)])
    with pytest.raises(TypeError, match="truth values have no mean"):
        dist.all_reduce(torch.tensor([True]), ReduceOp.AVG)
    with pytest.raises(TypeError, match="BAND is of bits"):
        dist.all_reduce(torch.ones(1), ReduceOp.BAND)
    with pytest.raises(TypeError, match="moves tensors of the device 'cpu', got one of 'meta'"):
        dist.group.WORLD.send([torch.ones(1, device="meta")], 0, 0)


def check_work_in_inference_mode_goes_on_in_any_thread():
    with torch.inference_mode():
        mine = torch.ones(4, 3).t()
        dist.all_reduce(mine, async_op=True).wait()
        assert mine.unique().tolist() == [3.0]
    plain = torch.ones(3)
    dist.all_reduce(plain)
    assert plain.tolist() == [3.0] * 3


def check_who_records_operations_sees_none_of_the_backend():
    seen = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            seen.append(function)
            return function(*arguments, **(options or {}))

    tensors = [torch.ones(1000), torch.ones(100_000, dtype=torch.bfloat16)]
    with Recorder():
        for tensor in tensors:
            dist.all_reduce(tensor)
    assert not seen


def check_long_messages_are_cut_into_pieces_that_mpi_can_count():
    lanes.PIECE_BYTES = team.PIECE_BYTES = 1000
    try:
        mine = torch.arange(5_000.0) + rank()
        out = torch.empty(5_000)
        works = [dist.isend(mine, (rank() + 1) % 3), dist.irecv(out)]
        for work in works:
            work.wait()
        assert torch.equal(out, torch.arange(5_000.0) + (rank() - 1) % 3)
        dist.barrier()
        outs = [torch.empty(5_000) for _ in range(3)]
        dist.all_to_all(outs, [mine] * 3)
        assert all(torch.equal(each, torch.arange(5_000.0) + source) for source, each in enumerate(outs))
    finally:
        lanes.PIECE_BYTES = team.PIECE_BYTES = 2**30


if __name__ == "__main__":
    run_checks(dict(globals()))
