"""Network: a model spread over the ranks by a plan."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from fujimi_core.errors import JobError
from fujimi_core.job import Job, Offload, Recompute, Schedule, recompute_of
from fujimi_core.offers import Model, Sharding, Style
from fujimi_core.plan import Plan
from torch import nn
from torch.utils._python_dispatch import _disable_current_modes

from fujimi_parallel.axes import REPLICAS, Axes
from fujimi_parallel.flat import buckets
from fujimi_parallel.losses import cross_entropy
from fujimi_parallel.messages import Messages
from fujimi_parallel.offload import Outside
from fujimi_parallel.pipeline import Begins, Pipeline
from fujimi_parallel.recompute import recomputed
from fujimi_parallel.ring_attention import ring
from fujimi_parallel.schedules import actions_of
from fujimi_parallel.sequence_split import SequenceSplit
from fujimi_parallel.sequence_tokens import gather_tokens, split_tokens
from fujimi_parallel.stage import Builder, Held, Stage, whole_stage
from fujimi_parallel.zero import DataParallel, Piece


class Network:
    """What one rank holds of a model, and how it works with the others.

    Args:
        model: To be spread.
        job: Whose plan it is.
        plan: Of all ranks.
        axes: Of this rank.
        example: Inputs of a microbatch on the meta device, as the first stage gets them.
        device: Of this rank.
        forward_context: Entered for each pass of a stage forward.

    Raises:
        JobError: If the model cannot be spread like this; says what would work.
    """

    def __init__(
        self,
        model: Model,
        job: Job,
        plan: Plan,
        axes: Axes,
        *,
        example: torch.Tensor,
        device: torch.device,
        compute_dtype: torch.dtype,
        forward_context: Callable[[], AbstractContextManager[object]],
    ) -> None:
        spec = job.parallel
        _require_order_of_messages(job, device)
        self.axes, self.plan = axes, plan
        self._smoothing = job.train.label_smoothing
        self._sharding = model.sharding
        self._split: SequenceSplit | None = None
        self.outside = Outside(spec.offload_path) if spec.offload is not Offload.NONE else None
        self._offloads = spec.offload in (Offload.ACTIVATIONS, Offload.ALL)
        self._forward_context = forward_context
        halved = spec.schedule is Schedule.ZERO_BUBBLE and spec.pipeline > 1
        self.data = DataParallel(
            axes.group(*REPLICAS),
            level=spec.zero,
            dtype=getattr(torch, spec.grad_reduce_dtype.value),
            compute_dtype=compute_dtype,
            by_hooks=not halved,
        )
        self.stages, tokens = self._build(model, job, example, device)
        self._held = {name: held for stage in self.stages for name, held in stage.held.items()}
        messages = None
        if (group := axes.group("pp")) is not None:
            messages = Messages(group, shape=tokens, dtype=compute_dtype, device=device)
        self._pipeline = Pipeline(
            {stage.number: stage for stage in self.stages},
            last=plan.stages - 1,
            actions=actions_of(job, plan, rank=axes.at("pp")),
            messages=messages,
            ranks=axes.extent("pp"),
            data=self.data,
            forward_context=self._forward,
        )

    @property
    def has_first(self) -> bool:
        """Whether this rank needs inputs."""
        return self.stages[0].number == 0

    @property
    def has_last(self) -> bool:
        """Whether this rank needs labels."""
        return self.stages[-1].number == self.plan.stages - 1

    def pieces(self) -> Iterator[Piece]:
        """What this rank updates."""
        return self.data.pieces()

    def held(self, name: str) -> Held:
        """What this rank, or those that share its part, have of a parameter."""
        return self._held[name]

    def rehearse(self, begins: Begins) -> None:
        """From now on do each kind of part of a step a few times only, and tell of it.

        Raises:
            ValueError: If gradients travel during a pass: microbatches cannot be told apart then.
        """
        if self.data.sums_each_pass:
            raise ValueError(f"ZeRO {self.data.level} exchanges gradients in each pass, which cannot be rehearsed")
        self._pipeline.rehearse(begins)

    def gradients(self, inputs: torch.Tensor | None, labels: torch.Tensor | None) -> torch.Tensor | None:
        """Compute the gradients of the mean loss over all ranks, for all pieces.

        Args:
            inputs: Samples of this rank, as many as the plan's batch; None where they are not needed.
            labels: Their classes, or shares of them.

        Returns:
            This rank's share of the mean loss: the sum of all shares is the mean. None where there is no last stage.
        """
        microbatches = self.plan.microbatches * self.plan.accumulate
        every_input = inputs.split(self.plan.microbatch) if inputs is not None else [None] * microbatches
        every_label = self._own_labels(labels).split(self.plan.microbatch) if labels is not None else ()
        scale = 1.0 / (microbatches * self.axes.extent(*REPLICAS))
        self.data.begin()
        total: torch.Tensor | None = None
        with self._ring():
            for number in range(self.plan.accumulate):
                if 1 < number < self.plan.accumulate - 1 and self._pipeline.rehearsed:
                    continue  # it is like the one before
                first, end = number * self.plan.microbatches, (number + 1) * self.plan.microbatches
                loss = functools.partial(self._loss, every_label[first:end], scale)
                total = self._pipeline.run(
                    every_input[first:end],
                    loss,
                    first_pass=number == 0,
                    last_pass=number == self.plan.accumulate - 1,
                    total=total,
                )
        self.data.finish()
        return total

    def updated(self) -> None:
        """Give the others what this rank has updated, where they share it."""
        self.data.updated()

    def is_counted(self, piece: Piece) -> bool:
        """Whether this rank speaks for a piece, of which others may have copies."""
        first_replica = self.data.level > 0 or self.axes.is_first(*REPLICAS)
        return first_replica and (self.axes.is_first("tp") or not self.held(piece.name).is_whole)

    def _loss(self, labels: tuple[torch.Tensor, ...], scale: float, logits: torch.Tensor, number: int) -> torch.Tensor:
        group = self.axes.group("tp") if self._shares_classes() else None
        loss = cross_entropy(logits, labels[number], label_smoothing=self._smoothing, group=group)
        return loss * scale

    def _shares_classes(self) -> bool:
        sharding = self._sharding
        if sharding is None:
            return False
        return any(
            name.startswith(f"{sharding.last}.") and style is Style.COLUMN for name, style in sharding.styles.items()
        )

    @contextlib.contextmanager
    def _forward(self) -> Iterator[None]:
        offloading = self.outside.activations() if self.outside and self._offloads else contextlib.nullcontext()
        with self._forward_context(), offloading:
            yield

    def _ring(self) -> AbstractContextManager[None]:
        group = self.axes.group("sp")
        if group is None or self._split is None:
            return contextlib.nullcontext()
        return ring(group, split=self._split)

    def _own_labels(self, labels: torch.Tensor) -> torch.Tensor:
        group = self.axes.group("sp")
        if group is None or self._split is None or self._sharding is None or self._sharding.whole_sequence:
            return labels
        return split_tokens(labels, group, split=self._split)

    def _build(
        self, model: Model, job: Job, example: torch.Tensor, device: torch.device
    ) -> tuple[list[Stage], torch.Size]:
        """Make the stages of this rank; returns them and the shape of the tokens between stages."""
        if model.sharding is None:
            stages, tokens = [self._whole(model, job, device)], torch.Size()
        else:
            with _disable_current_modes(), torch.device("meta"):  # nothing to be recorded, nothing to be faked
                network: nn.Module = model.build(job)
                tokens = self._tokens(network, model.sharding, example)
            builder = Builder(network, model.sharding, self.axes, device=device, seed=job.seed)
            _require_blocks(job, builder.blocks)
            make = functools.partial(self._ready, model.sharding, job)
            stages = []
            for number in self.plan.stages_of(self.axes.at("pp")):
                self.data.begin_stage()
                stages.append(builder.build(number, self.plan.stages, ready=make))
        if self.data.level < 3:
            parameters = {name: p for stage in stages for name, p in stage.parameters_by_name().items()}
            nbytes = {name: parameter.nbytes for name, parameter in parameters.items()}
            for names in buckets(nbytes, job.parallel.bucket_bytes):
                self.data.add({name: parameters[name] for name in names})
        return stages, tokens

    def _whole(self, model: Model, job: Job, device: torch.device) -> Stage:
        """A model without a table."""
        for key in ("tensor", "pipeline", "sequence"):
            if getattr(job.parallel, key) > 1:
                raise JobError(
                    f"parallel.{key} = {getattr(job.parallel, key)}: the model {model.name!r} offers no sharding "
                    f"table; the nearest that works: {key} = 1"
                )
        torch.manual_seed(job.seed)
        with device:
            stage = whole_stage(model.build(job))
        if self.data.level == 3:
            self.data.add(stage.parameters_by_name(), module=stage)
        return stage

    def _tokens(self, network: nn.Module, sharding: Sharding, example: torch.Tensor) -> torch.Size:
        """Shape of the tokens that this rank's blocks take and give."""
        with torch.no_grad():
            batch, tokens, width = network.get_submodule(sharding.first)(example).shape
        if self.axes.extent("sp") > 1:
            try:
                self._split = SequenceSplit(tokens=tokens, ranks=self.axes.extent("sp"), causal=sharding.causal)
            except ValueError as wrong:
                raise JobError(f"parallel.sequence = {self.axes.extent('sp')}: {wrong}") from None
            tokens = self._split.count(self.axes.at("sp"))
        return torch.Size((batch, tokens, width))

    def _ready(self, sharding: Sharding, job: Job, name: str, part: nn.Module) -> None:
        """Give a part of the network what the plan wants of it."""
        group, split = self.axes.group("sp"), self._split
        if group is not None and split is not None:
            if name == sharding.first:
                part.register_forward_hook(lambda _m, _x, tokens: split_tokens(tokens, group, split=split))
            if name == sharding.last and sharding.whole_sequence:
                part.register_forward_pre_hook(lambda _m, x: (gather_tokens(x[0], group, split=split),))
        if name.startswith(f"{sharding.blocks}."):
            number = int(name.removeprefix(f"{sharding.blocks}."))
            part.forward = recomputed(part.forward, recompute_of(job.parallel.recompute, number))
        if self.data.level == 3:
            own = {f"{name}.{key}": parameter for key, parameter in part.named_parameters()}
            self.data.add(own, module=part)


def _require_order_of_messages(job: Job, device: torch.device) -> None:
    if job.parallel.pipeline > 1 and device.type == "cuda":
        raise JobError(
            f"parallel.pipeline = {job.parallel.pipeline}: the messages of a pipeline cross each other, and NCCL, "
            "which moves what is on GPUs, takes them in the order in which they were sent; the nearest that works: "
            "pipeline = 1, with zero = 3 or tensor ranks"
        )


def _require_blocks(job: Job, blocks: int) -> None:
    how = job.parallel.recompute
    if not isinstance(how, Recompute) and any(number >= blocks for number in how):
        raise JobError(
            f"parallel.recompute = {list(how)}, but {job.model.name!r} has {blocks} blocks, counted from 0; "
            f"the last is {blocks - 1}"
        )
