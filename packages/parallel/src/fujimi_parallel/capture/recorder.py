"""Writes down what a rank does: operators, collectives, messages and what waits for what."""

from collections.abc import Callable, Hashable
from typing import Any

import torch
import torch.distributed as dist
from fujimi_core.errors import PluginError
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel, Recv, Send, Trait
from torch._C._distributed_c10d import FakeWork
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fujimi_parallel.axes import REPLICAS
from fujimi_parallel.capture.assembly import Mark
from fujimi_parallel.capture.flops import flops
from fujimi_parallel.capture.memory import Kind, MemoryMeter
from fujimi_parallel.offload import is_outside

# kind, and which argument is the whole buffer: the vector of an all-reduce, the result of an all-gather
_KINDS = {
    "allreduce_": (CollectiveKind.ALL_REDUCE, 0),
    "broadcast_": (CollectiveKind.BROADCAST, 0),
    "_allgather_base_": (CollectiveKind.ALL_GATHER, 0),
    "allgather_": (CollectiveKind.ALL_GATHER, 0),
    "_reduce_scatter_base_": (CollectiveKind.REDUCE_SCATTER, 1),
    "reduce_scatter_": (CollectiveKind.REDUCE_SCATTER, 1),
    "alltoall_base_": (CollectiveKind.ALL_TO_ALL, 1),
    "barrier": (CollectiveKind.BARRIER, 0),
}
_SEND, _RECV = "send", "recv_"
# they read as much of the first tensor as they write
_PICKING = {"embedding", "gather", "index", "index_select", "nll_loss_forward"}
# they make tensors without touching them, or only look at them
_FREE = {
    "empty",
    "empty_strided",
    "empty_like",
    "new_empty",
    "new_empty_strided",
    "device",
    "detach",
    "lift_fresh",
    "_unsafe_view",
}


class Recorder(TorchDispatchMode):
    """Records, while it is active, every operator, collective and message of this process.

    In a fake world or a real one, unless its process groups are written in Python: those are not seen.

    Args:
        mesh: On which the ranks lie; groups are known by the axes along which their members differ.
    """

    def __init__(self, mesh: Mesh | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch leaves it untyped
        self.events: list[Event] = []
        self.marks: list[Mark] = []
        self.memory = MemoryMeter()
        self._mesh = mesh
        self._axes_of: dict[str, tuple[str, ...]] = {}
        self._issued: dict[int, int] = {}
        self._wait_for: set[int] = set()
        self._last_kernel: int | None = None
        self._in_optimizer = False
        self._restore: list[Callable[[], None]] = []

    def __enter__(self) -> "Recorder":
        """Start to record."""
        wait = FakeWork.wait
        setattr(FakeWork, "wait", lambda work, *_: self._waited(work))  # noqa: B010 - a method that mypy guards
        is_completed = FakeWork.is_completed
        setattr(FakeWork, "is_completed", lambda *_: True)  # noqa: B010 - as above; messages leave before the next
        begin = register_optimizer_step_pre_hook(lambda *_: self._optimizer(True))
        end = register_optimizer_step_post_hook(lambda *_: self._optimizer(False))
        self._restore = [
            begin.remove,
            end.remove,
            lambda: setattr(FakeWork, "wait", wait),
            lambda: setattr(FakeWork, "is_completed", is_completed),
            self.memory.watch_resizes(),
        ]
        super().__enter__()  # type: ignore[no-untyped-call] # as above
        return self

    def __exit__(self, *exception: Any) -> None:
        """Stop to record."""
        super().__exit__(*exception)  # type: ignore[no-untyped-call] # as above
        for restore in self._restore:
            restore()

    def mark(self, part: Hashable | None) -> None:
        """Remember where a part of the step begins, or that the last has ended."""
        memory = self.memory
        self.marks.append(Mark(part=part, event=len(self.events), alive=memory.alive, peak=memory.peak))
        memory.restart()

    def restart(self) -> None:
        """Forget the events and the peak of memory; what is alive counts as state from now on."""
        self.events.clear()
        self.marks.clear()
        self._issued.clear()
        self._wait_for.clear()
        self._last_kernel = None
        self.memory.settle()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operator and write it down."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func.namespace == "c10d":
            self._communication(func, args, out)
        else:
            self.memory.see(out, self._use())
            if not func.is_view and func._schema.name.split("::")[1] not in _FREE:
                self._kernel(func, args, kwargs, out)
        return out

    def _kernel(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        inputs, outputs = _tensors((args, kwargs)), _tensors(out)
        if not inputs and not outputs:
            return
        arithmetic = flops(func, args, kwargs, out)
        written = _written(func, args, kwargs, outputs)
        event = Kernel(
            op=str(func._overloadpacket),
            shapes=tuple(tuple(tensor.shape) for tensor in inputs[:3]),
            dtype=_dtype(inputs or outputs),
            flops=arithmetic,
            nbytes=_touched(func, inputs, outputs) + sum(each.nbytes for each in written),
            outside_bytes=_outside(func, inputs, outputs + written),
            phase=self._phase(),
            traits=_traits(func, args, inputs + outputs) if arithmetic else _order(inputs, outputs) + _formula(kwargs),
            waits=self._latest_waits(),
        )
        self._wait_for.clear()
        self._last_kernel = len(self.events)
        self.events.append(event)

    def _latest_waits(self) -> tuple[int, ...]:
        """What is waited for, the latest on each stream: it has done those before by then."""
        return tuple(sorted({self.events[index].stream: index for index in sorted(self._wait_for)}.values()))

    def _communication(self, func: Any, args: tuple[Any, ...], out: Any) -> None:
        name = func._schema.name.split("::")[1]
        group = next(dist.ProcessGroup.unbox(arg) for arg in args if isinstance(arg, torch.ScriptObject))
        works = [leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.ScriptObject)]
        axes = self._axes(group)
        if name in (_SEND, _RECV):
            event = self._message(name, args, group, axes)
        elif name in _KINDS:
            event = self._collective(name, args, axes)
        else:
            raise PluginError(f"capture cannot translate {func}; known: {', '.join([*_KINDS, _SEND, _RECV])}")
        if set(axes) <= set(REPLICAS):
            self.memory.see_sent(args)
        for work in works:
            self._remember(work, len(self.events))
        self.events.append(event)

    def _collective(self, name: str, args: tuple[Any, ...], axes: tuple[str, ...]) -> Collective:
        kind, whole = _KINDS[name]
        tensors = _tensors(args[whole])
        return Collective(
            kind=kind,
            nbytes=sum(tensor.nbytes for tensor in tensors),
            axes=axes,
            dtype=_dtype(tensors),
            phase=self._phase(),
            waits=self._after_last_kernel(),
        )

    def _message(self, name: str, args: tuple[Any, ...], group: dist.ProcessGroup, axes: tuple[str, ...]) -> Event:
        (axis,) = axes
        kind = Send if name == _SEND else Recv
        return kind(
            nbytes=sum(tensor.nbytes for tensor in _tensors(args[0])),
            axis=axis,
            offset=args[2] - group.rank(),
            phase=self._phase(),
            waits=self._after_last_kernel() if name == _SEND else (),
        )

    def _after_last_kernel(self) -> tuple[int, ...]:
        return () if self._last_kernel is None else (self._last_kernel,)

    def _remember(self, work: torch.ScriptObject, index: int) -> None:
        """Know a work again when it is waited for; only those of a fake world can be told apart."""
        if dist.get_backend() == "fake":
            fake: Any = FakeWork.unbox(work)
            self._issued[fake.seq_id] = index

    def _waited(self, work: Any) -> bool:
        index = self._issued.get(work.seq_id)
        if index is not None:
            self._wait_for.add(index)
        return True

    def _optimizer(self, inside: bool) -> None:
        self._in_optimizer = inside

    def _phase(self) -> str:
        if self._in_optimizer:
            return "optimizer"
        return "backward" if torch._C._current_graph_task_id() != -1 else "forward"

    def _use(self) -> Kind:
        """What is made now is for."""
        is_forward = self._phase() == "forward" or (torch.is_grad_enabled() and not self._in_optimizer)
        return Kind.ACTIVATIONS if is_forward else Kind.WORKSPACE

    def _axes(self, group: dist.ProcessGroup) -> tuple[str, ...]:
        """Axes along which the members of a group differ."""
        if self._mesh is None:
            raise PluginError("a recorder without a mesh cannot tell who communicates; give it the mesh of the ranks")
        name = group.group_name
        if name not in self._axes_of:
            self._axes_of[name] = self._mesh.axes_of(dist.get_process_group_ranks(group))
        return self._axes_of[name]


def _tensors(tree: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]


def _touched(func: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> int:
    """Bytes that an operator reads and writes, each tensor once."""
    written = sum(tensor.nbytes for tensor in outputs)
    if func._schema.name.split("::")[1] in _PICKING:
        return 2 * written + sum(tensor.nbytes for tensor in inputs[1:])
    return written + sum(tensor.nbytes for tensor in inputs)


def _outside(func: Any, inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> int:
    """Bytes that come from offloaded tensors, and go to them; ``copy_`` does not read what it replaces."""
    read = inputs[1:] if func is torch.ops.aten.copy_.default else inputs
    return sum(tensor.nbytes for tensor in read + outputs if is_outside(tensor.untyped_storage()))


def _order(inputs: list[torch.Tensor], outputs: list[torch.Tensor]) -> tuple[Trait, ...]:
    """Whether large tensors come in another order than they go."""
    orders = {each.is_contiguous() for each in inputs + outputs if each.ndim > 1 and each.numel() > 1}
    return (Trait.STRIDED,) if len(orders) > 1 else ()


def _formula(kwargs: dict[str, Any]) -> tuple[Trait, ...]:
    """Which formula of several an activation has."""
    return (Trait.TANH,) if kwargs.get("approximate") == "tanh" else ()


def _written(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], outputs: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Tensors that an operator writes to and does not return, as fused optimizers do."""
    arguments = func._schema.arguments
    if outputs or not any(argument.alias_info and argument.alias_info.is_write for argument in arguments):
        return []
    given = dict(zip([argument.name for argument in arguments], args, strict=False)) | kwargs
    written = [argument.name for argument in arguments if argument.alias_info and argument.alias_info.is_write]
    return _tensors([given[name] for name in written if name in given])


def _traits(func: Any, args: tuple[Any, ...], tensors: list[torch.Tensor]) -> tuple[Trait, ...]:
    """What a matrix product's or attention's time depends on besides shapes."""
    names = [argument.name for argument in func._schema.arguments[: len(args)]]
    is_causal = dict(zip(names, args, strict=True)).get("is_causal", False)
    aligned = all(_is_aligned(tensor) for tensor in tensors if tensor.ndim > 1)
    return ((Trait.CAUSAL,) if is_causal else ()) + (() if aligned else (Trait.UNALIGNED,))


def _is_aligned(tensor: torch.Tensor) -> bool:
    """Whether the rows of a matrix all begin at multiples of 4 bytes."""
    return not any(
        stride * tensor.itemsize % 4
        for stride, extent in zip(tensor.stride(), tensor.shape, strict=True)
        if stride != 1 and extent > 1
    )


def _dtype(tensors: list[torch.Tensor]) -> str:
    """Type of the first floating-point tensor, or of the first."""
    floating = [tensor for tensor in tensors if tensor.is_floating_point()]
    return str((floating or tensors)[0].dtype).removeprefix("torch.") if tensors else ""
