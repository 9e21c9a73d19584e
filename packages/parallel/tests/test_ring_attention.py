import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from fujimi_core.mesh import Mesh
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.memory import MemoryMeter
from fujimi_parallel.ring_attention import ring, ring_attention
from fujimi_parallel.sequence_split import SequenceSplit
from torch.utils._python_dispatch import TorchDispatchMode

PROGRAM = Path(__file__).with_name("ring_ranks.py")
BATCH, HEADS, WIDTH = 2, 3, 8


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of four ranks found in each group it belongs to."""
    path = tmp_path_factory.mktemp("ranks")
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    assert mpiexec, "the mpich wheel brings mpiexec; install the extra 'test'"
    command = [mpiexec, "-n", "4", sys.executable, "-W", "error", str(PROGRAM), str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads((path / str(rank)).read_text()) for rank in range(4)]


@pytest.fixture(params=[1, 2, 3, 4])
def ranks(request, found):
    """What each rank found in a group of so many."""
    return ranks_of(found, request.param)


def ranks_of(found, size):
    ranks = [groups[str(size)] for groups in found if str(size) in groups]
    assert len(ranks) == size
    return ranks


@pytest.mark.parametrize(
    ("what", "tolerance"),
    [
        ("double", 1e-12),
        ("single", 5e-6),
        ("bfloat16", 5e-2),  # outputs of chunks are rounded to 8 bits before they are merged; values are up to 4
        ("narrow values", 1e-12),
    ],
)
def test_attention_and_its_gradients_are_those_of_the_whole_sequence(ranks, what, tolerance):
    assert max(max(found[what]) for found in ranks) < tolerance


@pytest.mark.parametrize(
    "what",
    ["full, gathered", "full in the order for causal, gathered", "causal, gathered", "causal, own loss"],
)
def test_gradients_averaged_over_the_ranks_are_those_of_one_rank(ranks, what):
    assert max(found[what] for found in ranks) < 1e-12


@pytest.mark.parametrize("how", ["not reentrant", "reentrant"])
def test_blocks_that_are_computed_again_go_around_the_ring_again(found, how):
    assert max(rank[how] for rank in ranks_of(found, 2)) < 1e-12


def test_tokens_that_were_dealt_and_gathered_are_as_before(ranks):
    assert [found["gather"] for found in ranks] == [0] * len(ranks)


def test_autocast_decides_the_type_of_attention(ranks):
    assert all(found["autocast"] == ["torch.bfloat16", "torch.float32", "torch.float64"] for found in ranks)


class Messages(TorchDispatchMode):
    """Notes what is sent and received, and how much memory there was at most."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.memory = MemoryMeter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if func.namespace == "c10d":
            phase = "backward" if torch._C._current_graph_task_id() != -1 else "forward"
            kind, (tensor,), peer = func._schema.name.removeprefix("c10d::"), args[0], args[2]
            self.found.append((phase, kind, peer, tensor.nbytes))
        else:
            self.memory.see(out)
        return out


def captured(tokens, ranks, rank, *, causal, dtype=torch.float32):
    """Messages and saved tensors of one forward and backward pass, as one of so many ranks."""
    split = SequenceSplit(tokens=tokens, ranks=ranks, causal=causal)
    saved = []
    with fake_world(Mesh.of(dp=ranks), rank=rank), Messages() as messages:
        shape = (BATCH, HEADS, split.count(rank), WIDTH)
        query, key, value = (torch.empty(shape, dtype=dtype, requires_grad=True) for _ in range(3))
        with ring(dist.group.WORLD, split=split):
            with torch.autograd.graph.saved_tensors_hooks(lambda tensor: saved.append(tensor) or tensor, lambda t: t):
                out = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
            out.sum().backward()
    return messages, sum(tensor.nbytes for tensor in saved)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("causal", [False, True])
def test_captured_rank_passes_on_what_comes_and_adds_its_gradients(causal, dtype):
    tokens, ranks, rank = 22, 5, 3
    split = SequenceSplit(tokens=tokens, ranks=ranks, causal=causal)
    messages, _ = captured(tokens, ranks, rank, causal=causal, dtype=dtype)

    def exchange(phase, step, itemsize):
        """Keys and values, or their gradients, which are here at a step, leave; those of the next step come."""
        nbytes = [BATCH * HEADS * split.count((rank - at) % ranks) * 2 * WIDTH * itemsize for at in (step, step + 1)]
        return [(phase, "send", 4, nbytes[0]), (phase, "recv_", 2, nbytes[1])]

    forward = [exchange("forward", step, dtype.itemsize) for step in range(4)]
    keys = [exchange("backward", step, dtype.itemsize) for step in range(4)]
    gradients = [exchange("backward", step, 4) for step in range(1, 5)]
    expected = [*forward, keys[0], keys[1], gradients[0], keys[2], gradients[1], keys[3], gradients[2], gradients[3]]
    assert messages.found == [message for pair in expected for message in pair]


def test_rank_of_ten_times_as_many_saves_and_needs_a_tenth():
    tokens = 12_800
    few, few_saved = captured(tokens, 8, 3, causal=True)
    many, many_saved = captured(tokens, 80, 3, causal=True)
    each = 4 * BATCH * HEADS * tokens // 8
    assert few_saved == 10 * many_saved == 4 * each * WIDTH + each  # query, key, value, output; log-sum-exp
    assert few.memory.peak.total == pytest.approx(10 * many.memory.peak.total, rel=0.01)


def test_one_rank_alone_sends_nothing():
    messages, _ = captured(8, 1, 0, causal=True)
    assert messages.found == []


@pytest.fixture
def group():
    """That of all two ranks, of which this is the first."""
    with fake_world(Mesh.of(dp=2)):
        yield dist.group.WORLD


X = torch.ones(1, 2, 4, 8)
FULL, CAUSAL = (SequenceSplit(tokens=8, ranks=2, causal=causal) for causal in (False, True))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"attn_mask": torch.ones(4, 4)}, "takes no attn_mask; is_causal is the only mask"),
        ({"dropout_p": 0.1}, r"takes no dropout_p, it is 0\.1; set the dropout of attention to 0"),
        ({"enable_gqa": True}, "takes no enable_gqa; repeat the heads"),
        ({"is_causal": True}, r"tokens are not dealt for it; use SequenceSplit\(\.\.\., causal=True\)"),
    ],
)
def test_what_the_ring_cannot_do_is_refused(group, argument, message):
    with pytest.raises(ValueError, match=message), ring(group, split=FULL):
        F.scaled_dot_product_attention(X, X, X, **argument)


@pytest.mark.parametrize("wrong", [torch.ones(1, 2, 8, 8), torch.ones(2, 4, 8)])
def test_tokens_that_were_not_dealt_are_refused(group, wrong):
    with pytest.raises(ValueError, match=r"holds 4 of 8 tokens, so key must be of shape \(samples, heads, 4, width\)"):
        ring_attention(X, wrong, X, group=group, split=CAUSAL, causal=False)


def test_group_of_another_size_is_refused_before_anything_is_computed(group):
    with (
        pytest.raises(ValueError, match="dealt to 3 ranks, but the group has 2"),
        ring(group, split=SequenceSplit(tokens=8, ranks=3)),
    ):
        pass


def test_ring_in_which_nothing_was_attended_to_is_an_error(group):
    with (
        pytest.raises(RuntimeError, match="must call scaled_dot_product_attention as an attribute"),
        ring(group, split=FULL),
    ):
        pass


def test_backward_outside_of_the_ring_is_refused(group):
    x = torch.ones(1, 2, 4, 8, requires_grad=True)
    with ring(group, split=FULL):
        out = F.scaled_dot_product_attention(x, x, x)
    with pytest.raises(RuntimeError, match=r"put backward into the same ring\(\) as forward"):
        out.sum().backward()


def test_attention_of_torch_is_back_after_the_ring_even_if_it_fails(group):
    original = F.scaled_dot_product_attention
    with contextlib.suppress(KeyError), ring(group, split=FULL):
        assert F.scaled_dot_product_attention is not original
        raise KeyError
    assert F.scaled_dot_product_attention is original
