"""Data parallelism: gradients are summed over the ranks, and what is the same on all of them can be shared out.

Parameters of a unit lie end to end in one buffer, cut into equal parts whatever their shapes: a part is padded by less
than one element a rank, where cutting each tensor along its first dim would pad it to a multiple of the ranks.

Source:
    Rajbhandari et al., "ZeRO", SC 2020, section 5 (levels 1, 2 and 3).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import nn
from torch.autograd import Variable

from fujimi_parallel.flat import Segment, part_numel, segments
from fujimi_parallel.works import wait_for

Parameters = dict[str, nn.Parameter]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """Elements of one parameter that this rank updates.

    Args:
        name: Of the parameter in the network.
        start: First element of what this rank's tensor-parallel group holds of it, row-major.
        stop: After the last.
        values: What the optimizer changes; its ``grad`` is ready after `DataParallel.finish`.
    """

    name: str
    start: int
    stop: int
    values: nn.Parameter


class DataParallel:
    """Sums gradients over the ranks of a group while the backward pass goes on, and shares out what it may.

    Args:
        group: Ranks that hold the same parameters; None if this one is alone.
        level: 0 shares nothing, 1 the optimizer's state, 2 also gradients, 3 also parameters.
        dtype: In which gradients travel.
        compute_dtype: In which parameters are used. If it is a short one, the optimizer updates float32
            copies.
        by_hooks: Whether gradients are complete when autograd has accumulated them; otherwise `flush` says so.
    """

    def __init__(
        self,
        group: dist.ProcessGroup | None,
        *,
        level: int,
        dtype: torch.dtype = torch.float32,
        compute_dtype: torch.dtype = torch.float32,
        by_hooks: bool = True,
    ) -> None:
        self.group = group
        self.level = level if group else 0
        self.last_pass = True
        self.dtype = dtype
        self.compute_dtype = compute_dtype
        self._by_hooks = by_hooks
        self._units: list[_Unit] = []
        self._unit_of: dict[nn.Parameter, _Unit] = {}
        self._in_backward = False
        self._before: _SharedParameters | None = None

    @property
    def sums_each_pass(self) -> bool:
        """Whether gradients leave after each pass over the network, instead of after the last before an update."""
        return self.level >= 2

    def add(self, parameters: Mapping[str, nn.Parameter], *, module: nn.Module | None = None) -> None:
        """Take over parameters, whose gradients then travel together.

        Args:
            parameters: By their names in the network; of one type.
            module: That uses all of them and nothing else; at level 3 it collects them when it is called.
        """
        kinds = {2: _SharedGradients, 3: _SharedParameters}
        kind = kinds.get(self.level, _WholeGradients)
        unit = kind(dict(parameters), self)
        self._units.append(unit)
        for parameter in parameters.values():
            self._unit_of[parameter] = unit
            if self._by_hooks:
                parameter.register_post_accumulate_grad_hook(self.accumulated)
        if isinstance(unit, _SharedParameters):
            assert module is not None
            unit.follow(module, self._before)
            self._before = unit

    @property
    def parameter_bytes(self) -> int:
        """Memory of parameters, between two uses."""
        return sum(unit.parameter_bytes for unit in self._units)

    @property
    def gradient_bytes(self) -> int:
        """Memory of gradients, between two uses."""
        return sum(unit.gradient.nbytes for unit in self._units)

    def pieces(self) -> Iterator[Piece]:
        """What this rank updates."""
        for unit in self._units:
            yield from unit.pieces

    def accumulated(self, parameter: torch.Tensor) -> None:
        """Hear that a gradient has grown; the unit's are sent when all have."""
        assert isinstance(parameter, nn.Parameter)
        if not self._in_backward and torch._C._current_graph_task_id() != -1:
            self._in_backward = True
            Variable._execution_engine.queue_callback(self._end_of_backward)
        unit = self._unit_of[parameter]
        unit.take(parameter)
        unit.arrived.add(parameter)
        if len(unit.arrived) == len(unit.parameters):
            unit.arrived.clear()
            if self.last_pass or self.sums_each_pass:
                unit.send()

    def begin_stage(self) -> None:
        """Hear that what is added next is not used after what was added before."""
        self._before = None

    def begin(self) -> None:
        """Begin a step: no gradients."""
        for unit in self._units:
            unit.begin()

    def flush(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Hear that gradients have grown, where there are no hooks that would tell."""
        for parameter in parameters.values():
            self._unit_of[parameter].take(parameter)
        if self.sums_each_pass:
            for unit in dict.fromkeys(self._unit_of[parameter] for parameter in parameters.values()):
                unit.send()

    def let_go(self) -> None:
        """Free collected parameters, where there are no hooks that would."""
        for unit in self._units:
            unit.let_go()

    def finish(self) -> None:
        """Wait until the gradients of all pieces are there."""
        for unit in self._units:
            if not unit.sent_since_begin:
                unit.send()
        for unit in self._units:
            unit.receive()

    def updated(self) -> None:
        """Spread the updated pieces."""
        works = [unit.spread() for unit in self._units]
        for work in works:
            wait_for(work)

    def _end_of_backward(self) -> None:
        """Send what has only some gradients: the others' parameters had no part in the loss."""
        self._in_backward = False
        for unit in self._units:
            if unit.arrived and self.sums_each_pass:
                unit.send()
            unit.arrived.clear()
        self.let_go()


class _Unit:
    """Parameters whose gradients travel together."""

    def __init__(self, parameters: Parameters, owner: DataParallel) -> None:
        self.parameters = parameters
        self.arrived: set[nn.Parameter] = set()
        self.sent_since_begin = False
        self.group, self.dtype = owner.group, owner.dtype
        self.ranks = self.group.size() if self.group else 1
        self.rank = self.group.rank() if self.group else 0
        self.numels = {name: parameter.numel() for name, parameter in parameters.items()}
        self.part = part_numel(sum(self.numels.values()), self.ranks)
        self.pieces: list[Piece] = []
        self.gradient: torch.Tensor  # that is kept from pass to pass
        self.kept: torch.Tensor | None = None  # parameters, if they are not where they were made
        self.compute_dtype = owner.compute_dtype
        self.has_copies = owner.compute_dtype.itemsize < torch.float32.itemsize
        self.copy: torch.Tensor | None = None  # of what this rank updates, if it computes in another type
        self._works: list[tuple[dist.Work | None, torch.Tensor]] = []

    @property
    def example(self) -> nn.Parameter:
        return next(iter(self.parameters.values()))

    @property
    def parameter_bytes(self) -> int:
        kept = self.kept.nbytes if self.kept is not None else sum(each.nbytes for each in self.parameters.values())
        return kept + (self.copy.nbytes if self.copy is not None else 0)

    @property
    def segments(self) -> tuple[Segment, ...]:
        return segments(self.numels, ranks=self.ranks, rank=self.rank)

    def begin(self) -> None:
        self.sent_since_begin = False
        self.arrived.clear()

    def send(self) -> None:
        self.sent_since_begin = True
        self.arrived.clear()

    def take(self, parameter: nn.Parameter) -> None:
        """Hear that a parameter's gradient has grown."""

    def receive(self) -> None:
        """Wait for the sum of what was sent."""

    def let_go(self) -> None:
        """Free what is not needed until the next use."""

    def spread(self) -> dist.Work | None:
        """Begin to give the others what this rank has updated."""
        return None

    def flat(self) -> torch.Tensor:
        """Room for all parameters, end to end."""
        return self.example.detach().new_zeros(self.part * self.ranks)

    def views(self, flat: torch.Tensor) -> list[torch.Tensor]:
        parts = flat[: sum(self.numels.values())].split(list(self.numels.values()))
        return [part.view(p.shape) for part, p in zip(parts, self.parameters.values(), strict=True)]

    def copied(self, part: torch.Tensor) -> torch.Tensor:
        """Where the optimizer updates what was moved into one buffer; the buffer's type becomes that of computing."""
        assert self.kept is not None
        if not self.has_copies:
            return part
        self.copy = part.clone()
        self.kept = self.kept.to(self.compute_dtype)
        for parameter, view in zip(self.parameters.values(), self.views(self.kept), strict=True):
            parameter.data = view
        return self.copy

    def mine_of(self, flat: torch.Tensor) -> torch.Tensor:
        """The part of this rank."""
        return flat.narrow(0, self.rank * self.part, self.part)

    def all_gather(self, whole: torch.Tensor, mine: torch.Tensor) -> dist.Work | None:
        """Begin to collect the parts of all ranks."""
        work: dist.Work | None = dist.all_gather_single(whole, mine, group=self.group, async_op=True)
        return work

    def cut(self, part: torch.Tensor, gradient: torch.Tensor | None) -> None:
        """Make the pieces of this rank's part of the parameters."""
        for segment in self.segments:
            length = segment.stop - segment.start
            values = nn.Parameter(part.narrow(0, segment.offset, length))
            if gradient is not None:
                values.grad = gradient.narrow(0, segment.offset, length)
            self.pieces.append(Piece(name=segment.name, start=segment.start, stop=segment.stop, values=values))


class _WholeGradients(_Unit):
    """Levels 0 and 1: every rank has all gradients; at level 1 it gets the sum of its part only."""

    def __init__(self, parameters: Parameters, owner: DataParallel) -> None:
        super().__init__(parameters, owner)
        self.shares = owner.level == 1
        has_copies = self.has_copies
        if self.shares or has_copies:
            # only what is cut into parts is filled up: on very many ranks that would be most of what is sent
            whole = _moved(self)
            self.kept = whole if self.shares else whole[: sum(self.numels.values())]
            part = self.copied(self.mine_of(self.kept) if self.shares else self.kept)
        numel = self.part * self.ranks if self.shares else sum(self.numels.values())
        like = self.example.detach()
        self.gradient = like.new_zeros(numel, dtype=self.dtype if has_copies else like.dtype)
        is_summed_here = not self.shares and not has_copies
        self._sum = self.gradient if is_summed_here else like.new_zeros(part.numel(), dtype=part.dtype)
        if self.shares:
            self.cut(part, self._sum)
        else:
            wholes = self.views(part) if has_copies else list(parameters.values())
            for (name, parameter), whole, view in zip(parameters.items(), wholes, self.views(self._sum), strict=True):
                values = nn.Parameter(whole) if has_copies else parameter
                values.grad = view
                self.pieces.append(Piece(name=name, start=0, stop=parameter.numel(), values=values))
        self._views = dict(zip(parameters.values(), self.views(self.gradient), strict=True))
        self._is_direct = self.gradient.dtype is self.example.dtype  # which may have changed by now
        if self._is_direct:
            for parameter, view in self._views.items():
                parameter.grad = view  # autograd adds to it

    def begin(self) -> None:
        super().begin()
        self.gradient.zero_()

    def send(self) -> None:
        super().send()
        if self.group is None:
            self._works.append((None, self.gradient))
            return
        sent = self.gradient.to(self.dtype)
        if self.shares:
            got = self._sum.to(self.dtype)
            work = dist.reduce_scatter_single(got, sent, group=self.group, async_op=True)
        else:
            got = sent
            work = dist.all_reduce(sent, group=self.group, async_op=True)
        self._works.append((work, got))

    def receive(self) -> None:
        for work, got in self._works:
            wait_for(work)
            if got is not self._sum:
                self._sum.copy_(got)
        self._works.clear()

    def take(self, parameter: nn.Parameter) -> None:
        if not self._is_direct and parameter.grad is not None:
            self._views[parameter] += parameter.grad
            parameter.grad = None

    def spread(self) -> dist.Work | None:
        if self.kept is None:
            return None
        mine = self.mine_of(self.kept) if self.shares else self.kept
        if self.copy is not None:
            mine.copy_(self.copy)
        return self.all_gather(self.kept, mine) if self.shares else None


class _SharedGradients(_Unit):
    """Level 2: every rank has all parameters, and the gradients of its part."""

    def __init__(self, parameters: Parameters, owner: DataParallel) -> None:
        super().__init__(parameters, owner)
        self.gradient = torch.zeros(self.part, dtype=torch.float32, device=self.example.device)
        self.hold(parameters)

    def hold(self, parameters: Parameters) -> None:
        """Put the parameters where they are to be."""
        self.kept = _moved(self)
        self.cut(self.copied(self.mine_of(self.kept)), self.gradient)

    def begin(self) -> None:
        super().begin()
        self.gradient.zero_()
        for parameter in self.parameters.values():
            parameter.grad = None

    def send(self) -> None:
        super().send()
        self._receive_all_but(1)
        sent = torch.zeros(self.part * self.ranks, dtype=self.dtype, device=self.example.device)
        for parameter, view in zip(self.parameters.values(), self.views(sent), strict=True):
            if parameter.grad is not None:
                view.copy_(parameter.grad)
            parameter.grad = None
        got = torch.empty(self.part, dtype=self.dtype, device=sent.device)
        self._works.append((dist.reduce_scatter_single(got, sent, group=self.group, async_op=True), got))

    def receive(self) -> None:
        self._receive_all_but(0)

    def spread(self) -> dist.Work | None:
        assert self.kept is not None
        mine = self.mine_of(self.kept)
        if self.copy is not None:
            mine.copy_(self.copy)
        return self.all_gather(self.kept, mine)

    def _receive_all_but(self, kept: int) -> None:
        while len(self._works) > kept:
            work, got = self._works.pop(0)
            wait_for(work)
            self.gradient += got


class _SharedParameters(_SharedGradients):
    """Level 3: every rank has its part of the parameters; a module collects them for as long as it works."""

    def __init__(self, parameters: Parameters, owner: DataParallel) -> None:
        self._collecting: dist.Work | None = None
        self._is_collected = False
        self._next: _SharedParameters | None = None
        self._previous: _SharedParameters | None = None
        super().__init__(parameters, owner)

    def hold(self, parameters: Parameters) -> None:
        self.mine = self.kept = self.mine_of(_moved(self)).clone()
        self.cut(self.mine, self.gradient)
        self.values = torch.empty(self.part * self.ranks, dtype=self.compute_dtype, device=self.mine.device)
        for parameter, view in zip(parameters.values(), self.views(self.values), strict=True):
            parameter.data = view
        self._free()

    def follow(self, module: nn.Module, previous: "_SharedParameters | None") -> None:
        """Collect when the module is called, and when its backward pass begins; begin with the next one's meanwhile."""
        self._previous = previous
        if previous:
            previous._next = self
        module.register_forward_pre_hook(lambda *_: self._before_forward())
        module.register_forward_hook(lambda _module, _inputs, output: self._after_forward(output))

    def spread(self) -> dist.Work | None:
        return None

    def send(self) -> None:
        super().send()
        self.let_go()

    def let_go(self) -> None:
        if self._is_collected or self._collecting:
            self._wait()
            self._free()

    def collect(self) -> None:
        """Have all parameters."""
        self._begin()
        self._wait()

    def _before_forward(self) -> None:
        self.collect()
        if self._next:
            self._next._begin()

    def _after_forward(self, output: torch.Tensor) -> None:
        if torch.is_grad_enabled() and output.requires_grad:
            output.register_hook(lambda _: self._before_backward())
        self.let_go()

    def _before_backward(self) -> None:
        self.collect()
        if self._previous:
            self._previous._begin()

    def _begin(self) -> None:
        if self._is_collected or self._collecting:
            return
        self.values.untyped_storage().resize_(self.values.numel() * self.values.element_size())
        mine = self.mine.to(self.compute_dtype)
        self._collecting = self.all_gather(self.values, mine)

    def _wait(self) -> None:
        if self._collecting:
            wait_for(self._collecting)
            self._collecting = None
            self._is_collected = True

    def _free(self) -> None:
        self.values.untyped_storage().resize_(0)
        self._is_collected = False


def _moved(unit: _Unit) -> torch.Tensor:
    """Put a unit's parameters end to end into one buffer, and let them be views of it."""
    flat = unit.flat()
    for parameter, view in zip(unit.parameters.values(), unit.views(flat), strict=True):
        view.copy_(parameter.detach())
        parameter.data = view
    return flat
