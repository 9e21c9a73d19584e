import json

import pytest
import torch
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.data_parallel import data_parallel

# a network whose gradients do not arrive in the reverse order of its parameters
NETWORK = """
import torch
from torch import nn
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(96, 10)
        self.first = nn.Linear(64, 96)
        self.inner = nn.ModuleList(nn.Linear(96, 96) for _ in range(5))
        self.scale = nn.Parameter(torch.ones(96))
    def forward(self, x):
        x = self.first(x)
        for layer in self.inner:
            x = layer(x).relu() * self.scale
        return self.last(x)
def steps(model, recorder_of):
    for _ in range(3):
        with recorder_of() as recorder:
            model(torch.ones(8, 64)).square().mean().backward()
            model.zero_grad()
    return recorder
def found(recorder):
    return [
        [event.nbytes, event.phase] if hasattr(event, "axes") else event.op
        for event in recorder.events
        if hasattr(event, "axes") or event.flops
    ]
"""

REAL = (
    NETWORK
    + """
import json, sys
from pathlib import Path
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.data_parallel import data_parallel
from fujimi_parallel.world import join
with join() as world:
    torch.manual_seed(0)
    model = data_parallel(Network(), world, bucket_bytes=int(sys.argv[2]))
    recorder = steps(model, Recorder)
    (Path(sys.argv[1]) / str(world.rank)).write_text(json.dumps(found(recorder)))
"""
)


@pytest.mark.parametrize("bucket_bytes", [1_000, 80_000, 25 * 2**20])
def test_fake_data_parallel_sends_the_same_buckets_between_the_same_products_as_the_real_one(run_ranks, bucket_bytes):
    names: dict = {}
    exec(NETWORK, names)
    with fake_world(Mesh.of(dp=2)) as world:
        model = data_parallel(names["Network"](), world, bucket_bytes=bucket_bytes)
        captured = names["found"](names["steps"](model, Recorder))
    assert any(isinstance(event, list) for event in captured)
    assert [json.loads(text) for text in run_ranks(REAL, 2, bucket_bytes)] == [captured, captured]


def test_all_gradients_are_averaged_and_waited_for_before_the_optimizer():
    with fake_world(Mesh.of(dp=16)) as world, Recorder() as recorder:
        layer = torch.nn.Linear(32, 32)
        model = data_parallel(layer, world, bucket_bytes=10)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            recorder.restart()
            model(torch.ones(4, 32)).sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    sent = [index for index, event in enumerate(recorder.events) if isinstance(event, Collective)]
    assert sum(recorder.events[index].nbytes for index in sent) == 4 * (32 * 32 + 32)
    first_update = next(event for event in recorder.events if event.phase == "optimizer")
    assert first_update.waits == tuple(sent)


def test_one_rank_needs_no_wrapper():
    layer = torch.nn.Linear(2, 2)
    with fake_world(Mesh.of(dp=1)) as world:
        assert data_parallel(layer, world, bucket_bytes=100) is layer
