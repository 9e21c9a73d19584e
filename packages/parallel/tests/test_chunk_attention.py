import pytest
import torch
import torch.nn.functional as F
from fujimi_parallel.chunk_attention import FLASH_CPU, FLASH_CUDA, PLAIN, way_for

SCALE = 0.3
TOLERANCES = {torch.float64: 1e-14, torch.float32: 1e-6, torch.bfloat16: 3e-2, torch.float16: 4e-3}


def tensors(dtype, *, queries=5, keys=5, width=8, device="cpu"):
    torch.manual_seed(0)
    shapes = [(2, 3, queries, width), (2, 3, keys, width), (2, 3, keys, width), (2, 3, queries, width)]
    return [torch.randn(shape, dtype=torch.float64).to(device, dtype) for shape in shapes]


def computed(way, query, key, value, grad, *, causal):
    """Output, log-sum-exp and gradients of one chunk that is the whole, in double precision."""
    out, lse = way.forward(query, key, value, causal=causal, scale=SCALE)
    gradients = way.backward(grad, query, key, value, out, lse, causal=causal, scale=SCALE)
    return [tensor.double() for tensor in (out, lse, *gradients)]


def right(query, key, value, grad, *, causal):
    leaves = [tensor.double().requires_grad_() for tensor in (query, key, value)]
    out = F.scaled_dot_product_attention(*leaves, is_causal=causal, scale=SCALE)
    out.backward(grad.double())
    scores = leaves[0].detach() @ leaves[1].detach().mT * SCALE
    if causal:
        scores += torch.full_like(scores, -torch.inf).triu(1)
    return [out.detach(), scores.logsumexp(-1), *(leaf.grad for leaf in leaves)]


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("way", [FLASH_CPU, PLAIN], ids=["flash", "plain"])
@pytest.mark.parametrize(("keys", "causal"), [(5, False), (5, True), (11, False), (1, False)])
def test_chunk_is_what_torch_computes_in_double_precision(way, dtype, keys, causal):
    given = tensors(dtype, keys=keys)
    for found, expected in zip(computed(way, *given, causal=causal), right(*given, causal=causal), strict=True):
        torch.testing.assert_close(found, expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])


@pytest.mark.parametrize("way", [FLASH_CPU, PLAIN], ids=["flash", "plain"])
def test_gradients_of_two_chunks_add_up_to_those_of_all_keys(way):
    query, key, value, grad = tensors(torch.float64, keys=7)
    expected = right(query, key, value, grad, causal=False)
    out, lse = expected[:2]
    first, second = (
        way.backward(grad, query, key[:, :, part], value[:, :, part], out, lse, causal=False, scale=SCALE)
        for part in (slice(3), slice(3, None))
    )
    torch.testing.assert_close(first[0] + second[0], expected[2])
    for chunk_1, chunk_2, gradient in zip(first[1:], second[1:], expected[3:], strict=True):
        torch.testing.assert_close(torch.cat([chunk_1, chunk_2], dim=2), gradient)


def test_plain_way_keeps_its_precision_under_autocast():
    given = tensors(torch.float32)
    expected = computed(PLAIN, *given, causal=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = computed(PLAIN, *given, causal=True)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("device", "dtype", "width", "value_width", "way"),
    [
        ("cpu", torch.float64, 7, 7, FLASH_CPU),
        ("cpu", torch.float32, 8, 4, PLAIN),
        ("cuda", torch.bfloat16, 64, 64, FLASH_CUDA),
        ("cuda", torch.float16, 256, 256, FLASH_CUDA),
        ("cuda", torch.bfloat16, 60, 60, PLAIN),
        ("cuda", torch.bfloat16, 264, 264, PLAIN),
        ("cuda", torch.float32, 64, 64, PLAIN),
        ("meta", torch.float32, 64, 64, PLAIN),
    ],
)
def test_kernel_of_torch_is_used_where_it_takes_such_tensors(device, dtype, width, value_width, way):
    class Tensor:
        def __init__(self, width):
            self.dtype, self.device, self.shape = dtype, torch.device(device), (1, 1, 1, width)

    assert way_for(Tensor(width), Tensor(value_width)) is way


def test_cuda_kernel_takes_and_gives_what_it_is_used_with():
    query, key, value, grad = tensors(torch.bfloat16, keys=7, device="meta")
    out, lse, *gradients = computed(FLASH_CUDA, query, key, value, grad, causal=False)
    assert (out.shape, lse.shape) == (query.shape, query.shape[:3])
    assert [gradient.shape for gradient in gradients] == [query.shape, key.shape, value.shape]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("keys", "causal"), [(128, False), (128, True), (200, False)])
def test_chunk_on_a_gpu_is_what_torch_computes_in_double_precision(dtype, keys, causal):
    given = tensors(dtype, queries=128, keys=keys, width=64, device="cuda")
    found = computed(FLASH_CUDA, *given, causal=causal)
    for tensor, expected in zip(found, right(*given, causal=causal), strict=True):
        torch.testing.assert_close(tensor, expected, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype])
