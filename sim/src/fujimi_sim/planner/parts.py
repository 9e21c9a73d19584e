"""Parts of a network at any microbatch: their times, and what their ranks exchange."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from fujimi_core.device import Device
from fujimi_core.job import Recompute
from fujimi_core.workload import Collective

from fujimi_sim.planner.pieces import Captures, Pieces, Tally, Traffic

#: Microbatches that are captured are powers of this; times of others lie on the line between two.
_STEP = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exchange:
    """Collectives that a part does, and how many of each.

    Args:
        collectives: Each kind once.
    """

    collectives: tuple[tuple[Collective, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A piece of the network, for one microbatch on one rank.

    Args:
        forward_s: Kernels.
        backward_s: Kernels, with what is computed again.
        weights_s: Of them, gradients of linear layers.
        forward: Collectives within a copy of the network.
        backward: As ``forward``.
        kept_bytes: For the backward pass.
        moved_bytes: Of that, what leaves if activations are offloaded.
    """

    forward_s: float
    backward_s: float
    weights_s: float
    forward: Exchange
    backward: Exchange
    kept_bytes: float
    moved_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All pieces.

    Args:
        first: What makes tokens.
        blocks: One of many, by what is computed again.
        last: What makes logits, and the loss.
        working_bytes: What a block needs while it works, by what is computed again.
        last_working_bytes: What is needed while logits and loss are made.
        message_bytes: From one stage to the next.
        kept_message_bytes: Of messages, for the backward pass.
    """

    first: Part
    blocks: Mapping[Recompute, Part]
    last: Part
    working_bytes: Mapping[Recompute, float]
    last_working_bytes: float
    message_bytes: float
    kept_message_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Bytes that a piece of the network holds between steps, and time that it takes once a step.

    Args:
        parameter_bytes: Of parameters.
        gradient_bytes: Of all gradients.
        optimizer_bytes: Of all of the optimizer's state.
        gradients_s: Kernels for all gradients, once a step.
        update_s: Kernels of the optimizer.
    """

    parameter_bytes: float
    gradient_bytes: float
    optimizer_bytes: float
    gradients_s: float
    update_s: float


class Book:
    """Looks up the pieces of a job's network, captured as needed.

    Args:
        captures: Of shallow networks.
        device: Whose host starts kernels, and from which something may be offloaded.
    """

    def __init__(self, captures: Captures, device: Device) -> None:
        self._captures = captures
        self._issue_s = device.issue_s
        self._offloads = device.outside_bandwidth_bytes_per_s is not None
        self._parts: dict[tuple[int, int], Parts] = {}
        self._held: dict[int, tuple[Held, Held, Held]] = {}

    def parts(self, tensor: int, microbatch: int) -> Parts:
        """Pieces for a microbatch, on so many ranks that share a layer."""
        key = tensor, microbatch
        if key not in self._parts:
            self._parts[key] = self._made(tensor, microbatch)
        return self._parts[key]

    def held(self, tensor: int) -> tuple[Held, Held, Held]:
        """What the first, a block and the last hold."""
        if tensor not in self._held:
            once = self._captures.once(tensor)
            pieces = self._captures.pieces(tensor, Recompute.NONE, 1)
            pairs = ((pieces.first, once.first), (pieces.block, once.block), (pieces.last, once.last))
            first, block, last = (self._holding(piece, each) for piece, each in pairs)
            self._held[tensor] = first, block, last
        return self._held[tensor]

    def _holding(self, piece: Tally, once: Tally) -> Held:
        return Held(
            parameter_bytes=piece.parameter_bytes,
            gradient_bytes=piece.gradient_bytes,
            optimizer_bytes=piece.optimizer_bytes,
            gradients_s=once.seconds_of("forward", self._issue_s) + once.seconds_of("backward", self._issue_s),
            update_s=once.seconds_of("optimizer", self._issue_s),
        )

    def _made(self, tensor: int, microbatch: int) -> Parts:
        by_how = {how: self._captures.pieces(tensor, how, 1) for how in Recompute}
        plain = by_how[Recompute.NONE]
        lower = _STEP ** _power(microbatch)
        low, high = (
            plain if number == 1 else self._captures.pieces(tensor, Recompute.NONE, number)
            for number in (lower, lower if lower == microbatch else lower * _STEP)
        )
        weight = (microbatch - lower) / (lower * (_STEP - 1))

        def part(piece: Callable[[Pieces], Tally], kept_bytes: float, moved_bytes: float) -> Part:
            forward_s = _between(piece(low), piece(high), weight, lambda each: self._seconds(each, "forward"))
            backward_s = _between(piece(low), piece(high), weight, lambda each: self._seconds(each, "backward"))
            return Part(
                forward_s=forward_s,
                backward_s=backward_s,
                weights_s=_between(piece(low), piece(high), weight, lambda each: each.linear_s / 2),
                forward=_exchange(piece(plain).traffic, "forward", microbatch),
                backward=_exchange(piece(plain).traffic, "backward", microbatch),
                kept_bytes=kept_bytes * microbatch,
                moved_bytes=moved_bytes * microbatch,
            )

        kept = self._captures.kept(tensor)
        moved = {how: self._moved(tensor, how) for how in Recompute}
        moved_first, moved_block, moved_last = moved[Recompute.NONE]
        block = part(lambda pieces: pieces.block, plain.kept_bytes, moved_block)
        return Parts(
            first=part(lambda pieces: pieces.first, kept.first, moved_first),
            last=part(lambda pieces: pieces.last, kept.last, moved_last),
            blocks={
                how: self._again(block, plain, pieces, microbatch=microbatch, moved_bytes=moved[how][1])
                for how, pieces in by_how.items()
            },
            working_bytes={
                how: max(pieces.working_bytes - kept.messages, 0.0) * microbatch for how, pieces in by_how.items()
            },
            last_working_bytes=kept.last_working * microbatch,
            message_bytes=plain.block.message_bytes * microbatch,
            kept_message_bytes=kept.messages * microbatch,
        )

    def _moved(self, tensor: int, how: Recompute) -> tuple[float, float, float]:
        return self._captures.moved(tensor, how) if self._offloads else (0.0, 0.0, 0.0)

    def _again(self, block: Part, plain: Pieces, pieces: Pieces, *, microbatch: int, moved_bytes: float) -> Part:
        """A block that is computed again: longer by as much of its way forward as in the capture of one sample."""
        more_s = self._seconds(pieces.block, "backward") - self._seconds(plain.block, "backward")
        forward_s = self._seconds(plain.block, "forward")
        share = max(more_s, 0.0) / forward_s if forward_s else 0.0
        return replace(
            block,
            backward_s=block.backward_s + share * block.forward_s,
            backward=_exchange(pieces.block.traffic, "backward", microbatch),
            kept_bytes=pieces.kept_bytes * microbatch,
            moved_bytes=moved_bytes * microbatch,
        )

    def _seconds(self, tally: Tally, phase: str) -> float:
        return tally.seconds_of(phase, self._issue_s)


def _power(number: int) -> int:
    """The exponent of the largest power of `_STEP` that is no larger.

    >>> [_power(number) for number in (1, 3, 4, 64)]
    [0, 0, 1, 3]
    """
    return next(power for power in range(number.bit_length()) if _STEP ** (power + 1) > number)


def _between(low: Tally, high: Tally, weight: float, of: Callable[[Tally], float]) -> float:
    return (1 - weight) * of(low) + weight * of(high)


def _exchange(traffic: Traffic, phase: str, microbatch: int) -> Exchange:
    found = (
        (replace(collective, nbytes=collective.nbytes * microbatch), count)
        for (when, collective), count in traffic.items()
        if when == phase and count > 0
    )
    return Exchange(collectives=tuple(found))
