import json
import resource

import numpy as np
import pytest
import torch.distributed as dist
from fujimi_core.errors import RunError
from fujimi_core.mesh import Mesh
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.groups import device_mesh, group_along

MIB = 2**20
#: Sums over the groups along each set of axes; also how often MPI was asked to split.
SUMS = """
import json, sys
from pathlib import Path
import torch
import torch.distributed as dist
from fujimi_core.mesh import Mesh
from fujimi_parallel.groups import device_mesh, group_along
from fujimi_parallel.world import join
from torch.distributed.tensor import Shard, distribute_tensor
found = {}
with join(sys.argv[2]) as world:
    mesh = Mesh.of(dp=2, tp=2)
    for axes in (["dp"], ["tp"], ["tp", "dp"]):
        group = group_along(mesh, axes)
        number = torch.tensor([1 << world.rank])
        dist.all_reduce(number, group=group)
        found[",".join(axes)] = [number.item(), dist.get_process_group_ranks(group)]
    whole = torch.arange(16.0).view(4, 4)
    sharded = distribute_tensor(whole, device_mesh(mesh), [Shard(0), Shard(1)])
    found["shard"] = sharded.to_local().flatten().tolist()
    found["whole"] = torch.equal(sharded.full_tensor(), whole)
    (Path(sys.argv[1]) / str(world.rank)).write_text(json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["mpi", "gloo"])
def test_groups_hold_the_ranks_that_differ_along_their_axes_only(run_ranks, backend):
    found = [json.loads(text) for text in run_ranks(SUMS, 4, backend)]
    whole = np.arange(16.0).reshape(4, 4)
    for rank, each in enumerate(found):
        dp, tp = divmod(rank, 2)
        ranks = {"dp": [tp, 2 + tp], "tp": [2 * dp, 2 * dp + 1], "tp,dp": [0, 1, 2, 3]}
        shard = whole[2 * dp : 2 * dp + 2, 2 * tp : 2 * tp + 2].flatten().tolist()
        sums = {axes: [sum(1 << member for member in members), members] for axes, members in ranks.items()}
        assert each == sums | {"shard": shard, "whole": True}


def test_group_of_all_axes_is_the_one_of_all_ranks():
    mesh = Mesh.of(dp=3, tp=2)
    with fake_world(mesh):
        assert group_along(mesh, ["tp", "dp"]) is dist.group.WORLD


def test_mesh_of_other_ranks_is_refused():
    with fake_world(Mesh.of(dp=3)), pytest.raises(RunError, match="a mesh of 4 ranks does not fit 3 processes"):
        group_along(Mesh.of(dp=4), ["dp"])


def test_mesh_of_a_whole_machine_takes_little_memory():
    mesh = Mesh.of(pp=8, dp=3312, tp=6)
    with fake_world(mesh, rank=77_777):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        made = device_mesh(mesh)
        assert made.get_coordinate() == (3, 3026, 5)
        assert dist.get_process_group_ranks(made.get_group("tp")) == list(range(77_772, 77_778))
        assert dist.get_process_group_ranks(made.get_group("pp")) == [17 + 144 + 18_000 + 19_872 * i for i in range(8)]
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < 64 * MIB
