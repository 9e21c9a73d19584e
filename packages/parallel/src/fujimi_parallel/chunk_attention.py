"""Attention of some queries to some of their keys, so that results of several such chunks can be merged.

Beside the output there is the logarithm of the sum of the exponentials of a query's scores: with it, softmax over all
keys is a weighted mean of softmaxes over some, and the gradient of a chunk can be computed alone.

Shapes: B samples, H heads, Q queries, K keys, D width of queries and keys, V width of values.

Source:
    Dao et al., "FlashAttention", NeurIPS 2022, section 3.1 and appendix B.2.
"""

from dataclasses import dataclass
from typing import Protocol

import torch

aten = torch.ops.aten
#: Widths that the CUDA kernel takes: multiples of 8 up to 256.
_CUDA_WIDTHS = range(8, 257, 8)


class Forward(Protocol):
    """Attention of a chunk."""

    def __call__(
        self,
        query_BHQD: torch.Tensor,
        key_BHKD: torch.Tensor,
        value_BHKV: torch.Tensor,
        *,
        causal: bool,
        scale: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Output of shape (B, H, Q, V), and log-sum-exp of shape (B, H, Q) in the precision of `summed_in`.

        Args:
            query_BHQD: Queries.
            key_BHKD: Keys.
            value_BHKV: Values.
            causal: Whether query i sees only the keys up to i; then there are equally many.
            scale: Factor of the scores.
        """


class Backward(Protocol):
    """Gradients of a chunk."""

    def __call__(
        self,
        grad_BHQV: torch.Tensor,
        query_BHQD: torch.Tensor,
        key_BHKD: torch.Tensor,
        value_BHKV: torch.Tensor,
        out_BHQV: torch.Tensor,
        lse_BHQ: torch.Tensor,
        *,
        causal: bool,
        scale: float,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What these keys add to the gradients of queries, keys and values.

        Args:
            grad_BHQV: Gradient of the output.
            query_BHQD: Queries.
            key_BHKD: Keys of the chunk.
            value_BHKV: Values of the chunk.
            out_BHQV: Output over all keys, of this chunk and of others.
            lse_BHQ: Log-sum-exp over all keys.
            causal: As in the forward pass.
            scale: As in the forward pass.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkAttention:
    """One way to compute a chunk."""

    forward: Forward
    backward: Backward


def summed_in(dtype: torch.dtype) -> torch.dtype:
    """Precision in which results of chunks are added: at least single."""
    return torch.promote_types(dtype, torch.float32)


def way_for(query_BHQD: torch.Tensor, value_BHKV: torch.Tensor) -> ChunkAttention:
    """Choose the kernel that does not keep all scores in memory, where there is one for such tensors."""
    widths = {query_BHQD.shape[-1], value_BHKV.shape[-1]}
    if len(widths) == 1 and query_BHQD.device.type == "cpu":
        return FLASH_CPU
    half = query_BHQD.dtype in (torch.float16, torch.bfloat16)
    if len(widths) == 1 and query_BHQD.device.type == "cuda" and half and widths.issubset(_CUDA_WIDTHS):
        return FLASH_CUDA
    return PLAIN


def _flash_cpu(
    query_BHQD: torch.Tensor, key_BHKD: torch.Tensor, value_BHKV: torch.Tensor, *, causal: bool, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    out_BHQV, lse_BHQ = aten._scaled_dot_product_flash_attention_for_cpu(
        query_BHQD, key_BHKD, value_BHKV, 0.0, causal, scale=scale
    )
    return out_BHQV, lse_BHQ


def _flash_cpu_backward(
    grad_BHQV: torch.Tensor,
    query_BHQD: torch.Tensor,
    key_BHKD: torch.Tensor,
    value_BHKV: torch.Tensor,
    out_BHQV: torch.Tensor,
    lse_BHQ: torch.Tensor,
    *,
    causal: bool,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    grad_query, grad_key, grad_value = aten._scaled_dot_product_flash_attention_for_cpu_backward(
        grad_BHQV, query_BHQD, key_BHKD, value_BHKV, out_BHQV, lse_BHQ, 0.0, causal, scale=scale
    )
    return grad_query, grad_key, grad_value


def _flash_cuda(
    query_BHQD: torch.Tensor, key_BHKD: torch.Tensor, value_BHKV: torch.Tensor, *, causal: bool, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    out_BHQV, lse_BHQ, *_ = aten._scaled_dot_product_flash_attention(
        query_BHQD, key_BHKD, value_BHKV, 0.0, causal, scale=scale
    )
    return out_BHQV, lse_BHQ


def _flash_cuda_backward(
    grad_BHQV: torch.Tensor,
    query_BHQD: torch.Tensor,
    key_BHKD: torch.Tensor,
    value_BHKV: torch.Tensor,
    out_BHQV: torch.Tensor,
    lse_BHQ: torch.Tensor,
    *,
    causal: bool,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random_state = torch.empty(2, dtype=torch.int64, device=query_BHQD.device)  # of dropout, of which there is none
    grad_query, grad_key, grad_value = aten._scaled_dot_product_flash_attention_backward(
        grad_BHQV,
        query_BHQD,
        key_BHKD,
        value_BHKV,
        out_BHQV,
        lse_BHQ.contiguous(),
        None,
        None,
        query_BHQD.shape[2],
        key_BHKD.shape[2],
        0.0,
        causal,
        random_state,
        random_state,
        scale=scale,
    )
    return grad_query, grad_key, grad_value


def _plain(
    query_BHQD: torch.Tensor, key_BHKD: torch.Tensor, value_BHKV: torch.Tensor, *, causal: bool, scale: float
) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.autocast(query_BHQD.device.type, enabled=False):
        scores_BHQK = _scores(query_BHQD, key_BHKD, causal=causal, scale=scale)
        lse_BHQ = scores_BHQK.logsumexp(-1)
        weights_BHQK = (scores_BHQK - lse_BHQ.unsqueeze(-1)).exp()
        return weights_BHQK @ value_BHKV.to(weights_BHQK.dtype), lse_BHQ


def _plain_backward(
    grad_BHQV: torch.Tensor,
    query_BHQD: torch.Tensor,
    key_BHKD: torch.Tensor,
    value_BHKV: torch.Tensor,
    out_BHQV: torch.Tensor,
    lse_BHQ: torch.Tensor,
    *,
    causal: bool,
    scale: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    with torch.autocast(query_BHQD.device.type, enabled=False):
        weights_BHQK = _scores(query_BHQD, key_BHKD, causal=causal, scale=scale).sub_(lse_BHQ.unsqueeze(-1)).exp_()
        grad_BHQV = grad_BHQV.to(weights_BHQK.dtype)
        grad_weights_BHQK = grad_BHQV @ value_BHKV.to(weights_BHQK.dtype).mT
        mean_BHQ1 = (grad_BHQV * out_BHQV).sum(-1, keepdim=True)
        grad_scores_BHQK = weights_BHQK * (grad_weights_BHQK - mean_BHQ1) * scale
        grad_query = grad_scores_BHQK @ key_BHKD.to(weights_BHQK.dtype)
        grad_key = grad_scores_BHQK.mT @ query_BHQD.to(weights_BHQK.dtype)
        return grad_query, grad_key, weights_BHQK.mT @ grad_BHQV


def _scores(query_BHQD: torch.Tensor, key_BHKD: torch.Tensor, *, causal: bool, scale: float) -> torch.Tensor:
    dtype = summed_in(query_BHQD.dtype)
    scores_BHQK = query_BHQD.to(dtype) @ key_BHKD.to(dtype).mT * scale
    if causal:
        seen_QK = torch.ones(scores_BHQK.shape[-2:], dtype=torch.bool, device=scores_BHQK.device).tril()
        scores_BHQK = scores_BHQK.masked_fill(~seen_QK, -torch.inf)
    return scores_BHQK


#: torch's kernel for CPUs, of any floating-point type.
FLASH_CPU = ChunkAttention(forward=_flash_cpu, backward=_flash_cpu_backward)
#: torch's kernel for CUDA, of half precision.
FLASH_CUDA = ChunkAttention(forward=_flash_cuda, backward=_flash_cuda_backward)
#: Matrix products and a softmax: works everywhere, and keeps the scores of a chunk in memory.
PLAIN = ChunkAttention(forward=_plain, backward=_plain_backward)
