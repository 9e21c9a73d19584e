import json

from fujimi_parallel.world import join

SUM_OF_RANKS = """
import json, sys
from pathlib import Path
import torch
from fujimi_parallel.collectives import average
from fujimi_parallel.world import join
with join() as world:
    value = torch.tensor([float(world.rank)])
    average(value, world).wait()
    found = [world.rank, world.size, world.local_rank, world.local_size, value.item()]
    (Path(sys.argv[1]) / str(world.rank)).write_text(json.dumps(found))
"""


def test_one_process_is_a_world_of_one_rank():
    with join() as world:
        assert (world.rank, world.size, world.captured) == (0, 1, False)


def test_ranks_that_mpiexec_started_find_each_other_and_average(run_ranks):
    found = [json.loads(text) for text in run_ranks(SUM_OF_RANKS, 3)]
    assert found == [[rank, 3, rank, 3, 1.0] for rank in range(3)]
