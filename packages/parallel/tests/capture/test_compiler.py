import subprocess
import sys

CAPTURE = """
import sys
import torch
from fujimi_core.mesh import Mesh
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.recorder import Recorder

def capture():
    with fake_world(Mesh.of(dp=2)), Recorder() as recorder:
        layer = torch.nn.Linear(4, 4)
        optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
        torch.nn.functional.gelu(layer(torch.ones(2, 4))).sum().backward()
        optimizer.step()
    return recorder.events
"""

AFTERWARDS = (
    CAPTURE
    + """
first = capture()
assert len(first) > 10
assert "torch._dynamo" not in sys.modules
compiled = []
def backend(graph, inputs):
    compiled.append(graph)
    return graph.forward
function = torch.compile(lambda x: x.sin() + 1, backend=backend)
torch.testing.assert_close(function(torch.ones(3)), torch.ones(3).sin() + 1)
assert len(compiled) == 1
assert sys.modules["torch._dynamo"].__file__
assert capture() == first
"""
)

ASKED_FOR_MORE = (
    CAPTURE
    + """
with fake_world(Mesh.of(dp=2)):
    shell = sys.modules["torch._dynamo"]
    assert torch._dynamo.is_compiling() is False
    assert sys.modules["torch._dynamo"] is not shell
    torch.ones(3).add(1)
assert sys.modules["torch._dynamo"].__file__
"""
)


def run(program):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


def test_compiler_is_not_imported_by_a_capture_and_works_after_it():
    run(AFTERWARDS)


def test_compiler_comes_when_a_program_asks_for_it_inside_a_capture():
    run(ASKED_FOR_MORE)
