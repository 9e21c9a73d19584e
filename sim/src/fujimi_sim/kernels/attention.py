"""Time of attention in one operator: its matrix products, and an exponential of each score."""

import math

from fujimi_core.device import FusedAttention

from fujimi_sim.kernels.products import Attention

#: Backward, probabilities are computed again, and then go into their gradient.
_BACKWARD_PASSES = 2
#: Bytes for each number of the queries: output and gradient (2 x 2); sums in float32 cleared, added to, and rounded.
_BACKWARD_BYTES = 4 + 4 + 8 + 6
#: Blocks of keys that each block of queries costs besides its own: to begin and end, and to mask its diagonal.
_ENDS, _DIAGONAL = 1, 2


def attention_s(
    attention: Attention, fused: FusedAttention, *, peak_flops_per_s: float, streaming_bytes_per_s: float
) -> float:
    """Time of attention, ``scores · (flops a score / (peak · efficiency) + passes / exponentials_per_s)``.

    Backward also takes what goes through memory on the way: a product of output and gradient, and sums in float32.

    A sequence is filled up to whole blocks; under a causal mask the blocks above the diagonal are left out. The
    blocks that the ends and the diagonal cost were seen on an H100, for sequences of 1,024 to 8,192.

    Args:
        attention: Which.
        fused: How fast the device is at it.
        peak_flops_per_s: Of the device in its type.
        streaming_bytes_per_s: Of its memory.

    Source:
        Dao et al., "FlashAttention", NeurIPS 2022, sections 3.1 and B.2; Shah et al., "FlashAttention-3", NeurIPS 2024,
        section 3.1, on how exponentials compare with matrix products.
    """
    blocks = math.ceil(attention.queries / fused.block)
    of_keys = math.ceil(attention.keys / fused.block)
    each = _seen(blocks, of_keys, fused) if attention.is_causal else of_keys
    scores = attention.heads * blocks * (each + _ENDS) * fused.block**2
    products = attention.products
    flops_a_score = 2 * attention.width * products.count / max(1, attention.heads)
    efficiency = fused.backward_efficiency if attention.is_backward else fused.forward_efficiency
    passes = _BACKWARD_PASSES if attention.is_backward else 1
    on_the_way = _BACKWARD_BYTES * attention.heads * attention.queries * attention.width if attention.is_backward else 0
    arithmetic_s = scores * (flops_a_score / (peak_flops_per_s * efficiency) + passes / fused.exponentials_per_s)
    return arithmetic_s + on_the_way / streaming_bytes_per_s


def _seen(blocks: int, of_keys: int, fused: FusedAttention) -> float:
    """Blocks of keys that a block of queries goes through under a causal mask, mean over those of queries."""
    if fused.mask_block is None:
        return min(of_keys, (of_keys + 1) / 2 + _DIAGONAL)
    at_once = fused.mask_block / fused.block
    return sum(min(of_keys, math.ceil(number / at_once) * at_once) for number in range(1, blocks + 1)) / blocks
