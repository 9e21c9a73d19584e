import sys
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist
from fujimi_parallel.works import may_wait, wait_for


def in_wait_for(look):
    wait_for(SimpleNamespace(wait=look))


def in_work_of_ones_own(look):
    sorted([1], key=lambda _: look())


@pytest.mark.parametrize(("where", "waits"), [(in_wait_for, True), (in_work_of_ones_own, False)])
def test_stack_tells_whether_other_ranks_are_waited_for(where, waits):
    found = []
    where(lambda: found.append(may_wait(sys._getframe())))
    assert found == [waits]


def test_function_of_torch_distributed_is_a_collective():
    found = []

    class Group:
        def __hash__(self):
            found.append(may_wait(sys._getframe()))
            return 0

    with pytest.raises(KeyError):
        dist.get_process_group_ranks(Group())
    assert found == [True]


def test_kernels_of_a_gpu_may_always_wait(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    assert may_wait(sys._getframe())


def test_nothing_is_waited_for_where_there_is_no_work_and_no_thread():
    wait_for(None)
    assert not may_wait(None)
