"""What the parts of a network cost, from captures of shallow networks."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias, TypeVar

from fujimi_core.errors import JobError
from fujimi_core.job import Job, Offload, Recompute, Schedule
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, Kernel, Role, Send, Workload

#: Blocks on each of four pipeline ranks of a shallow network: ranks with one and with two differ by a block.
_DEPTH, _STAGES = 5, 4
_FIRST, _ONE, _TWO, _LAST = range(_STAGES)
#: By how much of its parameters a rank with one block may differ from what one with two has more.
_REGULAR = 1e-3

#: In which phase there is a collective, without what it waits for, and how often.
Traffic: TypeAlias = Mapping[tuple[str, Collective], float]
Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """Sums over the events of a rank; those of two ranks can be subtracted.

    Args:
        seconds: Of kernels, by phase.
        kernels: How many, by phase.
        linear_s: Of matrix products of the backward pass.
        moved_bytes: That are offloaded on the way forward.
        traffic: Collectives within a copy of the network.
        parameter_bytes: As are those that follow, of memory.
        gradient_bytes: Of all gradients.
        optimizer_bytes: Of the optimizer's state.
        activation_bytes: Most there is besides.
        message_bytes: Longest message to another stage.
    """

    seconds: Mapping[str, float]
    kernels: Mapping[str, float]
    linear_s: float
    moved_bytes: float
    traffic: Traffic
    parameter_bytes: float
    gradient_bytes: float
    optimizer_bytes: float
    activation_bytes: float
    message_bytes: float

    def plus(self, other: "Tally", factor: float = 1.0) -> "Tally":
        """The sum with so many times another one."""

        def both(mine: Mapping[Key, float], theirs: Mapping[Key, float]) -> Mapping[Key, float]:
            return {key: mine.get(key, 0.0) + factor * theirs.get(key, 0.0) for key in {**mine, **theirs}}

        names = ("linear_s", "moved_bytes", "parameter_bytes", "gradient_bytes", "optimizer_bytes", "activation_bytes")
        numbers = {name: getattr(self, name) + factor * getattr(other, name) for name in names}
        return Tally(
            seconds=both(self.seconds, other.seconds),
            kernels=both(self.kernels, other.kernels),
            traffic=both(self.traffic, other.traffic),
            message_bytes=self.message_bytes,
            **numbers,
        )

    def seconds_of(self, phase: str, issue_s: float) -> float:
        """Time of the kernels of a phase, no shorter than the host takes to start them."""
        return max(self.seconds.get(phase, 0.0), self.kernels.get(phase, 0.0) * issue_s, 0.0)


def tally(role: Role, kernel_seconds: Callable[[Kernel], float]) -> Tally:
    """Add up what a rank does."""
    seconds: defaultdict[str, float] = defaultdict(float)
    kernels: defaultdict[str, float] = defaultdict(float)
    traffic: defaultdict[tuple[str, Collective], float] = defaultdict(float)
    linear_s, moved_bytes, message_bytes = 0.0, 0, 0
    for event in role.events:
        if isinstance(event, Kernel):
            took = kernel_seconds(event)
            seconds[event.phase] += took
            kernels[event.phase] += 1
            linear_s += took if event.phase == "backward" and event.op in _LINEAR else 0.0
            moved_bytes += event.outside_bytes if event.phase == "forward" else 0
        elif isinstance(event, Collective) and event.axes in (("tp",), ("sp",)):
            traffic[event.phase, replace(event, waits=(), phase="")] += 1
        elif isinstance(event, Send) and event.axis == "pp":
            message_bytes = max(message_bytes, event.nbytes)
    memory = role.memory
    state = memory.parameter_bytes + memory.gradient_bytes + memory.optimizer_bytes
    return Tally(
        seconds=seconds,
        kernels=kernels,
        linear_s=linear_s,
        moved_bytes=moved_bytes,
        traffic=traffic,
        parameter_bytes=memory.parameter_bytes,
        gradient_bytes=memory.gradient_bytes,
        optimizer_bytes=memory.optimizer_bytes,
        activation_bytes=memory.peak_bytes - state,
        message_bytes=message_bytes,
    )


#: Of linear layers the backward pass does two products, of which one is that of the weights' gradients.
_LINEAR = ("aten.mm", "aten.addmm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """Parts of a network on ranks that share its layers, for one microbatch.

    Args:
        first: What makes tokens.
        block: One of many.
        last: What makes logits, and the loss.
        kept_bytes: Of a block, what is kept for the backward pass.
        working_bytes: What a rank needs besides for its largest microbatch, without what is kept of it.
    """

    first: Tally
    block: Tally
    last: Tally
    kept_bytes: float
    working_bytes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Bytes of a microbatch that stay until its backward pass, besides those of blocks.

    Args:
        first: Of what makes tokens.
        last: Of what makes logits, and the loss.
        messages: Of messages from and to other stages.
        last_working: What is needed while logits and loss are made, without what stays.
    """

    first: float
    last: float
    messages: float
    last_working: float


class Captures:
    """Captures shallow networks, each when it is asked for.

    Args:
        job: Whose network; its precision is decided.
        plugins: Who captures.
        kernel_seconds: Time of a kernel.
    """

    def __init__(self, job: Job, *, plugins: Plugins, kernel_seconds: Callable[[Kernel], float]) -> None:
        self._job = job
        self._plugins = plugins
        self._kernel_seconds = kernel_seconds
        self._known: dict[tuple[object, ...], list[Tally]] = {}
        self._once: dict[int, Pieces] = {}
        self.divisible = True

    def depth(self, tensor: int) -> int:
        """Blocks of the network, from the bytes of its parameters; 1 for one that cannot be taken apart.

        Raises:
            JobError: If so many ranks cannot share a layer.
        """
        (whole,) = self._tallies(tensor, depth=None)
        try:
            ranks = self._tallies(tensor, depth=_DEPTH)
        except JobError:
            ranks = []
        block_bytes = ranks[_TWO].parameter_bytes - ranks[_ONE].parameter_bytes if len(ranks) == _STAGES else 0.0
        if block_bytes <= 0 or abs(ranks[_ONE].parameter_bytes - block_bytes) > _REGULAR * block_bytes:
            self.divisible = False
            return 1
        others = sum(ranks[each].parameter_bytes - block_bytes for each in (_FIRST, _LAST))
        return round((whole.parameter_bytes - others) / block_bytes)

    def pieces(self, tensor: int, recompute: Recompute, microbatch: int) -> Pieces:
        """Parts of the network, without what is done once a step.

        Raises:
            JobError: If so many ranks cannot share a layer.
        """
        found = self._parts(tensor, recompute, microbatch, 1)
        once = self.once(tensor)
        return replace(
            found,
            first=_without(found.first, once.first),
            block=_without(found.block, once.block),
            last=_without(found.last, once.last),
        )

    def once(self, tensor: int) -> Pieces:
        """What the parts of the network do once a step, whatever its microbatches."""
        if tensor not in self._once:
            one, two = (self._parts(tensor, Recompute.NONE, 1, number) for number in (1, 2))
            self._once[tensor] = replace(
                one,
                first=one.first.plus(one.first).plus(two.first, -1),
                block=one.block.plus(one.block).plus(two.block, -1),
                last=one.last.plus(one.last).plus(two.last, -1),
            )
        return self._once[tensor]

    def kept(self, tensor: int) -> Kept:
        """What stays of a microbatch: by as much two of them need more than one, where all go forward first."""
        if not self.divisible:
            return Kept(first=0.0, last=0.0, messages=0.0, last_working=0.0)
        one, two = (self._tallies(tensor, Recompute.NONE, 1, number, depth=_DEPTH) for number in (1, 2))
        stays = [after.activation_bytes - before.activation_bytes for before, after in zip(one, two, strict=True)]
        block = one[_TWO].activation_bytes - one[_ONE].activation_bytes
        return Kept(
            first=stays[_FIRST] - stays[_ONE],
            last=stays[_LAST] - stays[_ONE],
            messages=stays[_ONE] - block,
            last_working=one[_LAST].activation_bytes - stays[_LAST],
        )

    def moved(self, tensor: int, recompute: Recompute) -> tuple[float, float, float]:
        """Bytes that leave while a sample goes forward through the first, a block and the last, if activations do."""
        if recompute is Recompute.SELECTIVE:
            return 0.0, 0.0, 0.0  # is not offloaded
        depth = _DEPTH if self.divisible else None
        ranks = self._tallies(tensor, recompute, offload=Offload.ACTIVATIONS, depth=depth)
        if not self.divisible:
            return 0.0, ranks[0].moved_bytes, 0.0
        bytes_of = [each.moved_bytes for each in ranks]
        return (
            bytes_of[_FIRST] - bytes_of[_ONE],
            bytes_of[_TWO] - bytes_of[_ONE],
            bytes_of[_LAST] - bytes_of[_ONE],
        )

    def _parts(self, tensor: int, recompute: Recompute, microbatch: int, microbatches: int) -> Pieces:
        depth = _DEPTH if self.divisible else None
        ranks = self._tallies(tensor, recompute, microbatch, microbatches, depth=depth)
        if not self.divisible:
            (whole,) = ranks
            nothing = whole.plus(whole, -1)
            kept = whole.activation_bytes
            return Pieces(first=nothing, block=whole, last=nothing, kept_bytes=kept, working_bytes=0.0)
        block = ranks[_TWO].plus(ranks[_ONE], -1)
        return Pieces(
            first=ranks[_FIRST].plus(ranks[_ONE], -1),
            block=replace(block, message_bytes=ranks[_ONE].message_bytes),
            last=ranks[_LAST].plus(ranks[_ONE], -1),
            kept_bytes=block.activation_bytes,
            working_bytes=max(ranks[_ONE].activation_bytes - block.activation_bytes, 0.0),
        )

    def _tallies(
        self,
        tensor: int,
        recompute: Recompute = Recompute.NONE,
        microbatch: int = 1,
        microbatches: int = 1,
        *,
        depth: int | None,
        offload: Offload = Offload.NONE,
    ) -> list[Tally]:
        """Of each pipeline rank: four of a shallow network, one of the whole."""
        key = tensor, recompute, microbatch, microbatches, depth, offload
        if key not in self._known:
            workload = self._capture(*key)
            first = [role for role in workload.roles if role.where.get("sp", (0, 1))[0] == 0]
            self._known[key] = [tally(role, self._kernel_seconds) for role in first]
        return self._known[key]

    def _capture(
        self,
        tensor: int,
        recompute: Recompute,
        microbatch: int,
        microbatches: int,
        depth: int | None,
        offload: Offload,
    ) -> Workload:
        job = self._job
        stages = 1 if depth is None else _STAGES
        parallel = replace(
            job.parallel,
            data=None,
            tensor=tensor,
            pipeline=stages,
            virtual_stages=1,
            schedule=Schedule.GPIPE,
            microbatch=microbatch,
            accumulate=1,
            zero=0,
            recompute=recompute,
            offload=offload,
        )
        model = job.model if depth is None else replace(job.model, depth=depth)
        job = replace(job, model=model, parallel=parallel).with_batch_per_rank(microbatch * microbatches)
        return self._plugins.capture(job, tensor * stages * job.parallel.sequence)


def _without(tally: Tally, once: Tally) -> Tally:
    """Of a microbatch alone: bytes of memory stay."""
    rest = tally.plus(once, -1)
    return replace(
        tally, seconds=rest.seconds, kernels=rest.kernels, linear_s=max(rest.linear_s, 0.0), traffic=rest.traffic
    )
