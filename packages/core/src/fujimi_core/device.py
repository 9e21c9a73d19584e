"""Device: what one rank computes on, and how fast its operators are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fujimi_core.checks import above_zero, at_least, within


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """How a device shares out the result of a matrix product.

    Units each compute one tile at a time, so a result of a few tiles leaves units idle, and so does the last wave of a
    large one. A sum can be split, too, so that several units work on the same tile.

    Args:
        units: Tiles that are computed at the same time: multiprocessors of a GPU.
        edges: Rows, and columns, of the square tiles that the library has.
        depth: Steps along k that a tile costs besides its own: to fill the pipeline, and to write the result.
        most_splits: Most parts of a sum that are computed side by side.
    """

    units: int
    edges: tuple[int, ...]
    depth: float
    most_splits: int = 1

    def __post_init__(self) -> None:
        above_zero(self, "units", "most_splits")
        at_least(self, 0, "depth")
        if not self.edges or min(self.edges) < 1:
            raise ValueError(f"edges are {self.edges}; at least one tile is needed, of at least 1 row")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """The last memory before the main one, shared by all units.

    Args:
        cache_bytes: What one operator may touch in all and still find it there.
        bandwidth_bytes_per_s: Of reading and writing together.
    """

    cache_bytes: float
    bandwidth_bytes_per_s: float

    def __post_init__(self) -> None:
        above_zero(self, "cache_bytes", "bandwidth_bytes_per_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedAttention:
    """Attention in one operator, which keeps no scores in memory.

    Args:
        forward_efficiency: Share of the peak that its matrix products reach, 0 to 1.
        backward_efficiency: The same, backward.
        exponentials_per_s: Of the whole device; each score needs one forward, and two passes of as much work backward.
        block: Queries that one unit has at a time; a sequence is filled up to a multiple.
        mask_block: Keys that are left out at a time where a causal mask hides them all; None for as many as queries.
    """

    forward_efficiency: float
    backward_efficiency: float
    exponentials_per_s: float
    block: int = 128
    mask_block: int | None = None

    def __post_init__(self) -> None:
        above_zero(self, "forward_efficiency", "backward_efficiency", "exponentials_per_s", "block")
        if self.mask_block is not None:
            above_zero(self, "mask_block")
        within(self, 0, 1, "forward_efficiency", "backward_efficiency")


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What one rank computes on.

    Args:
        name: For reports.
        memory_bytes: Memory that belongs to the device.
        memory_bandwidth_bytes_per_s: Peak of that memory.
        memory_efficiency: Share of that peak that streaming reaches, 0 to 1.
        row_efficiency: The same for operators whose units work together on rows, as norms and softmax do, or that
            bring elements into another order; None if they are as fast as others.
        outside_bandwidth_bytes_per_s: Between that memory and where offloaded tensors lie, in each direction: the
            host's memory behind its link, or files; None if nothing can be offloaded.
        peak_flops_per_s: Peak by element type.
        gemm_efficiency: Share of the peak that a very large matrix product reaches, 0 to 1.
        gemm_half_extent: Cube root of m·n·k at which a matrix product reaches half of that share; 0 where tiles say it.
        unaligned_efficiency: What is left of the speed of a matrix product if a row begins off a multiple of 4 bytes.
        kernel_overhead_s: Time that each operator takes on the device besides its work.
        issue_s: Time that the host takes to start one operator, while the device works on earlier ones; 0 if the device
            runs the program itself.
        collective_share: Share of its units that a collective takes from kernels beside it, 0 to 1.
        tiles: How matrix products are shared out; None if their extent alone says how fast they are.
        cache: What is before the memory; None if nothing is, or nobody knows.
        attention: Fused attention; None if its matrix products are like others.
        instructions: Instructions that operators need for each element, by name; for those that are not vectorised, and
            so are slower than the memory. Of activations by a tangent the name ends in ``.tanh``; the first that is
            part of an operator's name counts.
        instructions_per_s: At which the device does them.
    """

    name: str
    memory_bytes: float
    memory_bandwidth_bytes_per_s: float
    memory_efficiency: float
    row_efficiency: float | None = None
    outside_bandwidth_bytes_per_s: float | None = None
    peak_flops_per_s: Mapping[str, float]
    gemm_efficiency: float
    gemm_half_extent: float
    unaligned_efficiency: float = 1.0
    kernel_overhead_s: float
    issue_s: float = 0.0
    collective_share: float = 0.0
    tiles: Tiles | None = None
    cache: Cache | None = None
    attention: FusedAttention | None = None
    instructions: Mapping[str, float] = field(default_factory=dict)
    instructions_per_s: float | None = None

    def __post_init__(self) -> None:
        above_zero(self, "memory_bytes", "memory_bandwidth_bytes_per_s", "memory_efficiency", "gemm_efficiency")
        above_zero(self, "unaligned_efficiency")
        within(self, 0, 1, "memory_efficiency", "gemm_efficiency", "unaligned_efficiency", "collective_share")
        if self.collective_share == 1:
            raise ValueError(f"device {self.name!r}: collective_share is 1, which would leave nothing to kernels")
        at_least(self, 0, "gemm_half_extent", "kernel_overhead_s", "issue_s")
        if self.row_efficiency is not None:
            above_zero(self, "row_efficiency")
            within(self, 0, 1, "row_efficiency")
        if self.outside_bandwidth_bytes_per_s is not None:
            above_zero(self, "outside_bandwidth_bytes_per_s")
        if not self.peak_flops_per_s or min(self.peak_flops_per_s.values()) <= 0:
            raise ValueError(f"device {self.name!r}: peak_flops_per_s needs a positive number for at least one dtype")
        if self.instructions and not self.instructions_per_s:
            raise ValueError(f"device {self.name!r}: instructions need instructions_per_s, above 0")

    @property
    def streaming_bytes_per_s(self) -> float:
        """Memory bandwidth that streaming reaches."""
        return self.memory_bandwidth_bytes_per_s * self.memory_efficiency

    @property
    def row_bytes_per_s(self) -> float:
        """Memory bandwidth that operators on rows reach."""
        return self.memory_bandwidth_bytes_per_s * (self.row_efficiency or self.memory_efficiency)
