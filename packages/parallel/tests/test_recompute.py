import weakref
from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from fujimi_core.job import Recompute
from fujimi_parallel.recompute import recomputed
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten
PRODUCTS = {aten.mm.default, aten.addmm.default, aten.bmm.default}
ATTENTION = {aten._scaled_dot_product_flash_attention_for_cpu.default}
GELU = {aten.gelu.default}
WIDTH, HEADS = 8, 2


class Block(nn.Module):
    """Attention and a perceptron: four matrix products forward, eight backward."""

    def __init__(self):
        super().__init__()
        self.norm, self.qkv, self.proj = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        query, key, value = self.qkv(self.norm(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(x)))


class Count(TorchDispatchMode):
    """Counts operators."""

    def __init__(self):
        super().__init__()
        self.seen = Counter()

    def of(self, operators):
        return sum(self.seen[operator] for operator in operators)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen[func] += 1
        return func(*args, **(kwargs or {}))


def trained(how):
    """Output, all gradients, and counts of operators: forward, then with the backward pass."""
    torch.manual_seed(3)
    block = Block()
    x = torch.randn(2, 5, WIDTH, requires_grad=True)
    forward = recomputed(block.forward, how)
    with Count() as count:
        y = forward(x)
        before = Counter(count.seen)
        y.square().sum().backward()
    gradients = [x.grad, *(parameter.grad for parameter in block.parameters())]
    backward = Count()
    backward.seen = count.seen - before
    return y.detach(), gradients, backward


@pytest.mark.parametrize("how", [Recompute.SELECTIVE, Recompute.FULL, Recompute.WHOLE])
def test_output_and_gradients_are_bit_equal(how):
    y, gradients, _ = trained(how)
    right_y, right, _ = trained(Recompute.NONE)
    assert torch.equal(y, right_y)
    assert all(torch.equal(gradient, other) for gradient, other in zip(gradients, right, strict=True))


def test_without_recomputation_the_backward_pass_has_two_products_for_each():
    _, _, backward = trained(Recompute.NONE)
    assert (backward.of(PRODUCTS), backward.of(ATTENTION), backward.of(GELU)) == (8, 0, 0)


def test_selective_computes_no_matrix_product_and_no_attention_again():
    _, _, backward = trained(Recompute.SELECTIVE)
    assert (backward.of(PRODUCTS), backward.of(ATTENTION), backward.of(GELU)) == (8, 0, 1)


def test_full_computes_everything_again_that_the_backward_pass_needs():
    _, _, backward = trained(Recompute.FULL)
    # torch stops before the last product, whose result no gradient needs
    assert (backward.of(PRODUCTS), backward.of(ATTENTION), backward.of(GELU)) == (8 + 3, 1, 1)


def test_whole_blocks_are_computed_again_to_their_last_product():
    _, _, backward = trained(Recompute.WHOLE)
    assert (backward.of(PRODUCTS), backward.of(ATTENTION), backward.of(GELU)) == (8 + 4, 1, 1)


@pytest.mark.parametrize(
    ("how", "kept"),
    [
        # norm 1 + 2/8 (mean, deviation), qkv 3, attention 1 + 2/8 (a sum for each head), its sum 1, fc1 4, gelu 4
        (Recompute.NONE, 14.5),
        # qkv 3, attention 1 + 2/8, proj 1, fc1 4, fc2 1
        (Recompute.SELECTIVE, 10.25),
        (Recompute.FULL, 0),
    ],
)
def test_between_the_passes_is_kept_what_the_backward_pass_does_not_compute_again(how, kept):
    """Bytes, in units of the inputs'; the block is as small as possible, so these are no shares of a real one."""
    block, x = Block(), torch.randn(4, 64, WIDTH, requires_grad=True)
    made = []

    class Made(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            made.extend(
                weakref.ref(t.untyped_storage()) for t in pytree.tree_leaves(out) if isinstance(t, torch.Tensor)
            )
            return out

    with Made():
        y = recomputed(block.forward, how)(x)
    alive = {storage for reference in made if (storage := reference()) is not None}
    others = {x.untyped_storage(), y.untyped_storage(), *(p.untyped_storage() for p in block.parameters())}
    assert y.requires_grad
    assert sum(storage.nbytes() for storage in alive - others) / x.nbytes == pytest.approx(kept, abs=0.01)


def test_none_is_the_function_itself():
    block = Block()
    assert recomputed(block.forward, Recompute.NONE) == block.forward
