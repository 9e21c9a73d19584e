import contextlib
import errno
import os
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from fujimi_core.errors import RunError
from fujimi_parallel.offload import SMALLEST_BYTES, Outside, is_outside, offload_state
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

BIG = SMALLEST_BYTES  # elements; always more bytes than the smallest that move


@pytest.fixture
def outside(tmp_path):
    return Outside(str(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64, torch.int64])
def test_what_is_put_outside_is_bit_equal_and_leaves_no_file(outside, tmp_path, dtype):
    tensor = torch.randn(7, BIG).mul(100).to(dtype)
    moved = outside.put(tensor)
    assert torch.equal(moved, tensor)
    assert (moved.dtype, moved.shape) == (tensor.dtype, tensor.shape)
    assert outside.moved_bytes == tensor.nbytes
    assert not list(tmp_path.iterdir())


def test_what_lies_outside_is_known_for_as_long_as_it_does(outside):
    tensor = torch.ones(BIG)
    moved = outside.put(tensor)
    assert is_outside(moved.untyped_storage())
    assert is_outside(moved[5:].untyped_storage())
    assert not is_outside(tensor.untyped_storage())
    gone = weakref.ref(moved.untyped_storage())
    del moved
    assert gone() is None


def test_room_lies_in_a_file_and_not_in_memory(outside, tmp_path):
    """Pages of a file that is mapped and shared: the system writes them out by itself."""
    room = outside.room(torch.empty(BIG))
    (line,) = [line for line in Path("/proc/self/maps").read_text().splitlines() if str(tmp_path) in line]
    begin, end = (int(number, 16) for number in line.split()[0].split("-"))
    assert begin <= room.data_ptr() < end
    assert line.split()[1] == "rw-s"


def test_empty_tensor_has_room_too(outside):
    assert outside.put(torch.empty(0, 3)).shape == (0, 3)


KILLED = """
import os, signal, sys, torch
from fujimi_parallel.offload import Outside
kept = Outside(sys.argv[1]).put(torch.ones(100_000))
print(kept.sum().item(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_process_leaves_no_file(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "100000.0\n"
    assert not list(tmp_path.iterdir())


def test_missing_directory_is_named(tmp_path):
    with pytest.raises(RunError, match=r"no_such: No such file or directory; let parallel.offload_path be a directory"):
        Outside(str(tmp_path / "no_such")).put(torch.ones(BIG))


def test_full_disk_is_an_error_that_names_the_directory_and_leaves_no_file(outside, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(RunError, match=f"cannot offload 262,144 bytes to {tmp_path}: No space left on device"):
        outside.put(torch.ones(BIG))
    assert not list(tmp_path.iterdir())


def trained(context, dtype=torch.float32):
    """Loss and gradients of layers that keep activations: big and small ones, integers, views of parameters."""
    torch.manual_seed(2)
    embedding = nn.Embedding(50, 64)
    layers = nn.Sequential(embedding, nn.LayerNorm(64), nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).to(dtype)
    words = torch.randint(50, (8, 40))
    with context:
        loss = (layers(words) @ embedding.weight.t()).logsumexp(-1).mean()
    loss.backward()
    return [loss.detach(), *(parameter.grad for parameter in layers.parameters())]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_of_offloaded_activations_are_bit_equal(outside, dtype):
    right = trained(contextlib.nullcontext(), dtype)
    found = trained(outside.activations(), dtype)
    assert all(torch.equal(mine, other) for mine, other in zip(found, right, strict=True))
    assert outside.moved_bytes > 0


def test_activations_move_twice_and_small_ones_and_parameters_stay(outside):
    x = torch.randn(BIG, requires_grad=True)  # 4 times the smallest
    weight = nn.Parameter(torch.randn(BIG))
    small = torch.randn(SMALLEST_BYTES // 4 - 1, requires_grad=True)
    with outside.activations():
        loss = (x * weight).sum() + small.square().sum()
    assert outside.moved_bytes == x.nbytes
    loss.backward()
    assert outside.moved_bytes == 2 * x.nbytes


def test_offloaded_activations_are_gone_after_the_backward_pass(outside, tmp_path):
    x = torch.randn(BIG, requires_grad=True)
    with outside.activations():
        loss = x.exp().sin().sum()
    assert mapped(tmp_path) == 2  # what exp and sin keep
    loss.backward()
    del loss
    assert mapped(tmp_path) == 0


def mapped(path):
    return Path("/proc/self/maps").read_text().count(str(path))


def test_state_of_an_optimizer_moves_once_and_training_goes_on_bit_equal(outside):
    def train(offload):
        torch.manual_seed(4)
        layer = nn.Linear(300, 300)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            layer(torch.ones(2, 300)).square().mean().backward()
            optimizer.step()
            if offload:
                offload_state(optimizer, outside)
        return layer, optimizer

    (right, _), (found, optimizer) = train(False), train(True)
    assert torch.equal(found.weight, right.weight)
    assert torch.equal(found.bias, right.bias)
    assert outside.moved_bytes == 2 * (found.weight.nbytes + found.bias.nbytes)
    for state in optimizer.state.values():
        assert is_outside(state["exp_avg"].untyped_storage())
        assert is_outside(state["exp_avg_sq"].untyped_storage())
        assert not is_outside(state["step"].untyped_storage())


def test_dry_run_makes_no_file(outside, monkeypatch):
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: pytest.fail("a file was made"))
    with FakeTensorMode():
        moved = outside.put(torch.ones(BIG))
    assert is_outside(moved.untyped_storage())
    assert outside.moved_bytes == 4 * BIG
