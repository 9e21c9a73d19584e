"""Time of fused attention, by hand."""

from dataclasses import replace

import pytest
from fujimi_core.device import FusedAttention
from fujimi_sim.kernels.attention import attention_s
from fujimi_sim.kernels.products import Attention

FUSED = FusedAttention(forward_efficiency=0.5, backward_efficiency=0.25, exponentials_per_s=1e9, block=10)


def attention(**fields: int | bool) -> Attention:
    usual = {"heads": 2, "queries": 100, "keys": 100, "width": 64, "is_backward": False, "is_causal": False}
    return Attention(**(usual | fields))  # type: ignore[arg-type]


def seconds(what: Attention) -> float:
    return attention_s(what, FUSED, peak_flops_per_s=1e12, streaming_bytes_per_s=1e9)


def test_each_score_costs_its_products_and_an_exponential() -> None:
    scores = 2 * 100 * (100 + 10)  # and the ends of each row of blocks
    assert seconds(attention()) == pytest.approx(scores * (4 * 64 / 0.5e12 + 1e-9))


def test_backward_costs_five_products_two_passes_and_sums_in_memory() -> None:
    scores = 2 * 100 * (100 + 10)
    on_the_way_s = 22 * 2 * 100 * 64 / 1e9
    assert seconds(attention(is_backward=True)) == pytest.approx(scores * (10 * 64 / 0.25e12 + 2e-9) + on_the_way_s)


def test_causal_mask_leaves_out_nearly_half_of_a_long_sequence() -> None:
    long = {"queries": 10**5, "keys": 10**5}
    assert seconds(attention(is_causal=True, **long)) / seconds(attention(**long)) == pytest.approx(0.5, rel=1e-3)


def test_causal_mask_never_costs_more_than_none() -> None:
    assert seconds(attention(queries=10, keys=10, is_causal=True)) == seconds(attention(queries=10, keys=10))


def test_sequence_is_filled_up_to_whole_blocks() -> None:
    assert seconds(attention(queries=91, keys=91)) == seconds(attention())


def test_mask_that_hides_many_keys_at_a_time_leaves_out_fewer() -> None:
    coarse = replace(FUSED, mask_block=50)
    seen = [50] * 5 + [100] * 5  # keys of each block of 10 queries; and the ends, of 10
    scores = 2 * 10 * sum(keys + 10 for keys in seen)
    took = attention_s(attention(is_causal=True), coarse, peak_flops_per_s=1e12, streaming_bytes_per_s=1e9)
    assert took == pytest.approx(scores * (4 * 64 / 0.5e12 + 1e-9))
