"""Matrix products are read off the shapes that a capture writes down."""

import pytest
from fujimi_core.workload import Kernel, Trait
from fujimi_sim.kernels.products import Attention, Products, attention_of, products_of

QKV = ((3, 12, 197, 64),) * 3
ATTENTION = "aten._scaled_dot_product_flash_attention_for_cpu"


def kernel(op: str, shapes: tuple[tuple[int, ...], ...], *, flops: int = 0, traits: tuple[Trait, ...] = ()) -> Kernel:
    return Kernel(op=op, shapes=shapes, dtype="float32", flops=flops, nbytes=0, traits=traits)


@pytest.mark.parametrize(
    ("op", "shapes", "expected"),
    [
        ("aten.mm", ((2, 3), (3, 4)), (1, 2, 4, 3)),
        ("aten.addmm", ((4,), (2, 3), (3, 4)), (1, 2, 4, 3)),
        ("aten.bmm", ((7, 2, 3), (7, 3, 4)), (7, 2, 4, 3)),
        ("aten.baddbmm", ((2, 4), (7, 2, 3), (7, 3, 4)), (7, 2, 4, 3)),
        ("aten.bmm", ((0, 2, 3), (0, 3, 4)), (0, 2, 4, 3)),
    ],
)
def test_extents_are_those_of_the_matrices(
    op: str, shapes: tuple[tuple[int, ...], ...], expected: tuple[int, int, int, int]
) -> None:
    count, m, n, k = expected
    found = products_of(kernel(op, shapes))
    assert found == Products(count=count, m=m, n=n, k=k)
    assert found.flops == 2 * count * m * n * k


def test_convolution_is_the_product_of_positions_and_filters() -> None:
    # 2 volumes of 8 x 8 x 8 with 4 channels, 32 filters of 3 x 3 x 3
    volumes, filters, gradients = (2, 4, 8, 8, 8), (32, 4, 3, 3, 3), (2, 32, 8, 8, 8)
    positions, length = 2 * 8**3, 4 * 27
    once = 2 * positions * 32 * length
    forward = products_of(kernel("aten.convolution", (volumes, filters), flops=once))
    assert forward == Products(count=1, m=positions, n=32, k=length)
    backward = kernel("aten.convolution_backward", (gradients, volumes, filters), flops=2 * once)
    assert products_of(backward) == Products(count=2, m=positions, n=32, k=length)
    of_weight_alone = kernel("aten.convolution_backward", (gradients, volumes, filters), flops=once)
    assert products_of(of_weight_alone).count == 1


@pytest.mark.parametrize("shapes", [(), ((),), ((8, 3, 4, 4), (16, 3, 2, 2))])
def test_unknown_product_is_a_cube_of_as_many_operations(shapes: tuple[tuple[int, ...], ...]) -> None:
    found = products_of(kernel("aten.einsum", shapes, flops=2 * 30**3))
    assert found.m == found.n == found.k == pytest.approx(30)
    assert found.flops == pytest.approx(2 * 30**3)


def test_attention_has_two_products_a_head_and_five_backward() -> None:
    forward = attention_of(kernel(ATTENTION, QKV))
    assert forward == Attention(heads=36, queries=197, keys=197, width=64, is_backward=False, is_causal=False)
    assert forward.products.count == 72
    backward = attention_of(kernel(ATTENTION + "_backward", QKV, traits=(Trait.CAUSAL,)))
    assert backward is not None
    assert backward.is_causal
    assert backward.products.count == 180


@pytest.mark.parametrize("op", ["aten.mm", "acme.attention_of_another_layout", ""])
def test_others_are_no_attention(op: str) -> None:
    assert attention_of(kernel(op, QKV)) is None


@pytest.mark.parametrize("shapes", [(), ((), ()), ((3, 197, 64),) * 3])
def test_attention_of_unknown_layout_is_left_to_its_operations(shapes: tuple[tuple[int, ...], ...]) -> None:
    assert attention_of(kernel(ATTENTION, shapes)) is None
