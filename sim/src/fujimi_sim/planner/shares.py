"""What each pipeline rank has of a network, as arrays with one entry a rank."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from fujimi_core.job import Recompute, recompute_of
from fujimi_core.plan import deal_blocks
from numpy.typing import NDArray

from fujimi_sim.planner.parts import Book, Exchange, Held, Part
from fujimi_sim.planner.space import Candidate, Layout, Recomputing, Rhythm

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shares:
    """Which parts pipeline ranks have.

    Args:
        blocks: How many, by what their backward pass computes again; those that some rank has.
        all_blocks: However they are computed.
        first: 1 on the rank that makes tokens.
        last: 1 on the rank that makes logits.
    """

    blocks: Mapping[Recompute, Values]
    all_blocks: Values
    first: Values
    last: Values


def shares_of(depth: int, ranks: int, virtual_stages: int, recompute: Recomputing) -> Shares:
    """Deal the blocks of a network to the ranks of a pipeline, as a plan does.

    Args:
        depth: Blocks.
        ranks: Of the pipeline.
        virtual_stages: Of each rank.
        recompute: Of all blocks, or which of them are computed again in full.
    """
    blocks = {each: np.zeros(ranks) for each in Recompute}
    stages = ranks * virtual_stages
    for stage in range(stages):
        for block in deal_blocks(depth, stages, stage):
            blocks[recompute_of(recompute, block)][stage % ranks] += 1
    first, last = np.zeros(ranks), np.zeros(ranks)
    first[0], last[-1] = 1.0, 1.0
    held = {how: count for how, count in blocks.items() if count.any()}
    return Shares(blocks=held, all_blocks=sum(held.values(), np.zeros(ranks)), first=first, last=last)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """What pipeline ranks do with a microbatch.

    Args:
        forward_s: Kernels.
        backward_s: Kernels, with what is computed again.
        weights_s: Of them, gradients of linear layers.
        kept_bytes: For the backward pass.
        moved_bytes: Of that, what leaves if activations are offloaded.
        working_bytes: What is needed besides while the rank works.
        message_bytes: From one stage to the next.
        forward: Exchanges within a copy of the network, and how many parts of each rank do them.
        backward: As ``forward``.
    """

    forward_s: Values
    backward_s: Values
    weights_s: Values
    kept_bytes: Values
    moved_bytes: Values
    working_bytes: Values
    message_bytes: float
    forward: tuple[tuple[Exchange, Values], ...]
    backward: tuple[tuple[Exchange, Values], ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holding:
    """What pipeline ranks hold between steps, and what they do once a step; as `Held`, one entry a rank.

    Args:
        units: Parts that each rank has: blocks, and those before and after them.
        unit_bytes: Of parameters, those of the largest part.
        block_bytes: Of parameters, those of a block.
    """

    parameter_bytes: Values
    gradient_bytes: Values
    optimizer_bytes: Values
    gradients_s: Values
    update_s: Values
    units: Values
    unit_bytes: float
    block_bytes: float


class Table:
    """Looks up what pipeline ranks do and hold.

    Args:
        book: Parts of the network.
        depth: Its blocks.
    """

    def __init__(self, book: Book, *, depth: int) -> None:
        self._book = book
        self._depth = depth
        self._shares: dict[tuple[int, int, Recomputing], Shares] = {}
        self._work: dict[tuple[int, int, int, int, Recomputing], Work] = {}
        self._holding: dict[tuple[int, int, int], Holding] = {}

    def work(self, candidate: Candidate, *, microbatch: int | None = None) -> Work:
        """What ranks do with a microbatch: the plan's, if nothing else is said."""
        (tensor, pipeline, _, _), rhythm, thrift = candidate
        key = tensor, microbatch or rhythm.microbatch, pipeline, rhythm.virtual_stages, thrift.recompute
        if key not in self._work:
            self._work[key] = self._made(key)
        return self._work[key]

    def holding(self, layout: Layout, rhythm: Rhythm) -> Holding:
        """What ranks hold."""
        key = layout.tensor, layout.pipeline, rhythm.virtual_stages
        if key not in self._holding:
            self._holding[key] = self._held(key)
        return self._holding[key]

    def _made(self, key: tuple[int, int, int, int, Recomputing]) -> Work:
        tensor, microbatch, pipeline, virtual_stages, recompute = key
        parts = self._book.parts(tensor, microbatch)
        shares = self._shares_of(pipeline, virtual_stages, recompute)
        outer = ((parts.first, shares.first), (parts.last, shares.last))
        inner = tuple((parts.blocks[how], count) for how, count in shares.blocks.items())

        def total(of: Callable[[Part], float], pieces: tuple[tuple[Part, Values], ...]) -> Values:
            return sum((of(part) * count for part, count in pieces), np.zeros_like(shares.first))

        return Work(
            forward_s=total(lambda part: part.forward_s, (*outer, *inner)),
            backward_s=total(lambda part: part.backward_s, (*outer, *inner)),
            weights_s=total(lambda part: part.weights_s, (*outer, *inner)),
            kept_bytes=total(lambda part: part.kept_bytes, (*outer, *inner))
            + virtual_stages * parts.kept_message_bytes,
            moved_bytes=total(lambda part: part.moved_bytes, (*outer, *inner)),
            working_bytes=np.maximum(
                max(parts.working_bytes[how] for how in shares.blocks), shares.last * parts.last_working_bytes
            ),
            message_bytes=parts.message_bytes,
            forward=tuple((part.forward, count) for part, count in (*outer, *inner) if part.forward.collectives),
            backward=tuple((part.backward, count) for part, count in (*outer, *inner) if part.backward.collectives),
        )

    def _held(self, key: tuple[int, int, int]) -> Holding:
        tensor, pipeline, virtual_stages = key
        first, block, last = self._book.held(tensor)
        shares = self._shares_of(pipeline, virtual_stages, Recompute.NONE)

        def total(of: Callable[[Held], float]) -> Values:
            return shares.first * of(first) + shares.all_blocks * of(block) + shares.last * of(last)

        return Holding(
            parameter_bytes=total(lambda each: each.parameter_bytes),
            gradient_bytes=total(lambda each: each.gradient_bytes),
            optimizer_bytes=total(lambda each: each.optimizer_bytes),
            gradients_s=total(lambda each: each.gradients_s),
            update_s=total(lambda each: each.update_s),
            units=shares.first + shares.all_blocks + shares.last,
            unit_bytes=max(each.parameter_bytes for each in (first, block, last)),
            block_bytes=block.parameter_bytes,
        )

    def _shares_of(self, pipeline: int, virtual_stages: int, recompute: Recomputing) -> Shares:
        key = pipeline, virtual_stages, recompute
        if key not in self._shares:
            self._shares[key] = shares_of(self._depth, *key)
        return self._shares[key]
