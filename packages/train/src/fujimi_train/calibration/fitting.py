"""What a device is like, from times of operators: few numbers, each fitted in closed form."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from fujimi_core.device import Cache, FusedAttention
from fujimi_core.errors import RunError
from fujimi_core.workload import Kernel, Trait
from numpy.typing import NDArray

#: What stands for "in no time" where a rate is asked for.
FREE_PER_S = 1e18
#: Bytes for each number of the queries that go through memory on the way backward, as the simulator counts them.
_BACKWARD_BYTES = 22
#: Blocks of keys that each block of queries costs besides its own, as the simulator counts.
_ENDS = 1
#: Keys that torch's attention leaves out at a time under a causal mask: its time on processors falls that way beyond.
#: Source: PyTorch, aten/src/ATen/native/cpu/FlashAttentionKernel.cpp, kvSplitSize.
_MASK_BLOCK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """An operator and how long it took.

    Args:
        kernel: As a capture writes it down.
        seconds: Without what every operator costs.
    """

    kernel: Kernel
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Of matrix products: ``flops / time = peak · extent / (extent + half_extent)``."""

    peak_flops_per_s: float
    half_extent: float


def fit_products(timed: Sequence[Timed]) -> Speed:
    """Peak and half-performance extent; the sum of squares of relative errors is least.

    The time is linear in what is looked for: ``flops · (1 + half / extent) / peak``.

    Args:
        timed: Products (m, k) by (k, n) of several sizes, the last two shapes of each kernel.

    Raises:
        RunError: If large ones were no faster than small ones, as when other programs take the processor away.
    """
    seconds = np.array([each.seconds for each in timed])
    flops = np.array([each.kernel.flops for each in timed], float)
    extents = np.cbrt(flops / 2)
    per_flop, per_surface = _least_squares([flops / seconds, flops / extents / seconds])
    if not per_flop:
        raise RunError(
            "large matrix products took no longer than small ones: other programs are running; measure again when they "
            "are not"
        )
    return Speed(peak_flops_per_s=1 / per_flop, half_extent=per_surface / per_flop)


def fit_attention(
    timed: Sequence[Timed], *, peak_flops_per_s: float, memory_bytes_per_s: float, blocks: Sequence[int]
) -> FusedAttention:
    """Efficiencies of attention in one operator, forward and backward, for the size of block that fits best.

    Exponentials are counted in the efficiencies: there is one of each score, as there are operations of its products.

    Args:
        timed: Forward and backward, of several sizes up to 512 tokens; first shapes (batch, heads, tokens, width).
        peak_flops_per_s: Of matrix products.
        memory_bytes_per_s: Bandwidth.
        blocks: Sizes to choose from.
    """
    found = [_attention(timed, peak_flops_per_s, memory_bytes_per_s, block) for block in blocks]
    return min(found, key=lambda each: each[0])[1]


def _attention(
    timed: Sequence[Timed], peak_flops_per_s: float, memory_bytes_per_s: float, block: int
) -> tuple[float, FusedAttention]:
    """Sum of squares of relative errors, and what it is that of."""
    efficiencies, errors = [], 0.0
    for is_backward in (False, True):
        chosen = [each for each in timed if each.kernel.op.endswith("_backward") is is_backward]
        seconds = np.array([_arithmetic_s(each, memory_bytes_per_s) for each in chosen])
        flops = np.array([_scores(each.kernel, block) * each.kernel.shapes[0][3] for each in chosen])
        shares = 2 * flops * (5 if is_backward else 2) / peak_flops_per_s / seconds  # of the peak, as measured
        (slowness,) = _least_squares([shares])
        efficiencies.append(min(1.0, 1 / slowness))
        errors += float(np.square(shares / efficiencies[-1] - 1).sum())
    forward, backward = efficiencies
    fused = FusedAttention(
        forward_efficiency=forward,
        backward_efficiency=backward,
        exponentials_per_s=FREE_PER_S,
        block=block,
        mask_block=_MASK_BLOCK,
    )
    return errors, fused


def _arithmetic_s(timed: Timed, memory_bytes_per_s: float) -> float:
    """Time without what goes through memory on the way."""
    if not timed.kernel.op.endswith("_backward"):
        return timed.seconds
    on_the_way_s = _BACKWARD_BYTES * math.prod(timed.kernel.shapes[0]) / memory_bytes_per_s
    return max(timed.seconds - on_the_way_s, timed.seconds / 2)


def _scores(kernel: Kernel, block: int) -> float:
    """Scores that are computed, in whole blocks; no sequence here is so long that a causal mask saves any."""
    batch, heads, tokens, _ = kernel.shapes[0]
    count = math.ceil(tokens / block)
    return batch * heads * count * (count + _ENDS) * block**2


def fit_memory(touched_bytes: Sequence[float], seconds: Sequence[float]) -> tuple[float, Cache | None]:
    """Bandwidth of memory, and the cache before it.

    The sizes are cut in two where the speeds on either side differ least from their geometric mean.

    Args:
        touched_bytes: Read and written by an operator, ascending.
        seconds: Without what every operator costs.

    Returns:
        Bandwidth of what does not fit into the cache [B/s]; the cache, None if it is no faster.
    """
    speeds = np.log(np.array(touched_bytes) / np.array(seconds))
    cuts = range(1, len(speeds))
    cut = min(cuts, key=lambda cut: _scatter(speeds[:cut]) + _scatter(speeds[cut:]))
    inside, outside = (float(np.exp(part.mean())) for part in (speeds[:cut], speeds[cut:]))
    if inside <= outside:
        return float(np.exp(speeds.mean())), None
    return outside, Cache(cache_bytes=touched_bytes[cut - 1], bandwidth_bytes_per_s=inside)


def _scatter(values: NDArray[np.float64]) -> float:
    return float(np.square(values - values.mean()).sum())


def fit_elements(timed: Sequence[Timed]) -> Mapping[str, float]:
    """Nanoseconds that operators need for each element, by name; longer names first, which hold shorter ones.

    Args:
        timed: Operators whose data are in the cache; those of the same name are averaged.
    """
    found: dict[str, list[float]] = {}
    for each in timed:
        elements = max(math.prod(shape) for shape in each.kernel.shapes)
        name = each.kernel.op.rpartition(".")[2] + (".tanh" if Trait.TANH in each.kernel.traits else "")
        found.setdefault(name, []).append(each.seconds / elements * 1e9)
    return {name: float(np.mean(found[name])) for name in sorted(found, key=lambda name: (-len(name), name))}


def fit_messages(nbytes: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """Latency [s] and time of a byte [s/B] of a line through messages, its relative errors least."""
    sizes, took = np.array(nbytes, float), np.array(seconds)
    latency, per_byte = _least_squares([1 / took, sizes / took])
    return latency, per_byte


def _least_squares(columns: Sequence[NDArray[np.float64]]) -> list[float]:
    """Factors, none below 0, by which columns add up to ones best; what would be below 0 is left out."""
    lengths = np.array([np.linalg.norm(column) for column in columns])
    matrix = np.stack(columns, axis=1) / lengths
    factors = np.zeros(len(columns))
    used = list(range(len(columns)))
    while used:
        solved = np.linalg.lstsq(matrix[:, used], np.ones(len(matrix)), rcond=None)[0]
        if (solved >= 0).all():
            factors[used] = solved
            break
        used.pop(int(solved.argmin()))
    return [float(factor) for factor in factors / lengths]
