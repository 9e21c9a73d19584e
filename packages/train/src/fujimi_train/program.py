"""Program: what a job does on one rank, the same in training and in capture.

Shapes: B samples, C channels, H height, W width, T tokens.
"""

import functools
from collections.abc import Iterable, Sequence

import torch
import torch.distributed as dist
from fujimi_core.job import Job, Offload, OptimizerSpec, Precision
from fujimi_core.offers import Model
from fujimi_core.plan import plan_of
from fujimi_parallel.axes import Axes
from fujimi_parallel.network import Network
from fujimi_parallel.offload import fetch_state, offload_state
from fujimi_parallel.world import World
from fujimi_parallel.zero import Piece
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from fujimi_train.schedule import learning_rate


class Program:
    """Model, optimizer and step of a job on one rank.

    Args:
        job: What to train; its precision is decided.
        model: Which network the job names.
        world: The ranks.
        device: What this rank computes on.

    Raises:
        JobError: If the job's plan does not go together with the ranks or the network.
    """

    def __init__(self, job: Job, model: Model, world: World, *, device: torch.device) -> None:
        if job.parallel.precision is Precision.AUTO:
            raise ValueError("a program needs a precision that is decided")
        self.job = job
        self.world = world
        self.device = device
        self.plan = plan_of(job, world.size)
        self.axes = Axes(world, self.plan.mesh)
        is_pure = job.parallel.precision is Precision.PURE_BFLOAT16
        shares = job.parallel.zero == 3 and self.plan.extent("dp") * self.plan.extent("sp") > 1
        halved = is_pure or (job.parallel.precision is Precision.BFLOAT16 and shares)
        self.network = Network(
            model,
            job,
            self.plan,
            self.axes,
            example=example_inputs(job, self.plan.microbatch),
            device=device,
            compute_dtype=torch.bfloat16 if halved else torch.float32,
            forward_context=functools.partial(mixed, job.parallel.precision, device),
        )
        self.pieces = list(self.network.pieces())
        self.optimizer = adamw(self.pieces, self.network, job.optimizer)

    def step(self, number: int, samples: torch.Tensor | None, labels: torch.Tensor | None) -> torch.Tensor:
        """Do one optimizer step.

        Args:
            number: Of the step, from 0.
            samples: Of this rank's batch: grey pictures (B, H, W), uint8, or tokens (B, T), int64. None where
                `Network.has_first` is not.
            labels: Their classes (B), or the tokens that follow (B, T), int64; of mixed pictures shares of the classes,
                float32. None where `Network.has_last` is not.

        Returns:
            Mean loss over all ranks, before the step; a scalar.
        """
        summary = self.gradients(number, samples, labels)
        self.update(number, summary[1])
        return summary[0]

    def gradients(
        self, number: int, samples: torch.Tensor | None, labels: torch.Tensor | None, says: Sequence[float] = ()
    ) -> torch.Tensor:
        """Compute the gradients of a step, and what all ranks have to know of each other before they use them.

        Args:
            number: As of `step`.
            samples: As of `step`.
            labels: As of `step`.
            says: Numbers of this rank that the others are to know; as many on each.

        Returns:
            Mean loss, norm of all gradients, and the sums of ``says`` over all ranks; the same on each, float64.
        """
        torch.manual_seed(_mix(self.job.seed, number, self.axes.at("dp"), self.axes.at("pp")))
        inputs = None if samples is None else self._inputs(samples)
        share = self.network.gradients(inputs, None if labels is None else labels.to(self.device))
        counted = share is not None and self.axes.is_first("tp")
        loss = share.double() if share is not None and counted else torch.zeros((), dtype=torch.float64)
        summary = torch.stack([loss.to(self.device), self._square_of_gradients(), *self._own(says)])
        group = self.axes.everybody()
        if group is not None:
            dist.all_reduce(summary, group=group)
        summary[1].sqrt_()
        return summary

    def update(self, number: int, norm: torch.Tensor) -> None:
        """Apply the gradients.

        Args:
            number: Of the step, from 0.
            norm: Of the gradients, as `gradients` returned it.
        """
        limit = self.job.optimizer.clip_norm
        if limit:
            clip_grads_with_norm_([piece.values for piece in self.pieces], limit, norm.float(), foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(number)
        outside = self.network.outside if self.job.parallel.offload in (Offload.OPTIMIZER, Offload.ALL) else None
        if outside:
            fetch_state(self.optimizer)
        self.optimizer.step()
        if outside:
            offload_state(self.optimizer, outside)
        self.network.updated()

    def rate(self, number: int) -> float:
        """Learning rate of a step."""
        spec = self.job.optimizer
        return learning_rate(number, self.job.train.steps, warmup_steps=spec.warmup_steps, highest=spec.learning_rate)

    def _inputs(self, samples: torch.Tensor) -> torch.Tensor:
        samples = samples.to(self.device)
        if self.job.data.is_tokens:
            return samples
        data = self.job.data
        pictures = normalise(samples, channels=self.job.model.channels, mean=data.mean, std=data.std)
        return pictures.bfloat16() if self.job.parallel.precision is Precision.PURE_BFLOAT16 else pictures

    def _square_of_gradients(self) -> torch.Tensor:
        """Sum of the squares of all gradients that this rank speaks for."""
        counted = [piece.values.grad for piece in self.pieces if self.network.is_counted(piece)]
        gradients = [gradient for gradient in counted if gradient is not None]
        if not gradients:
            return torch.zeros((), dtype=torch.float64, device=self.device)
        return get_total_norm(gradients, foreach=True).double().square()

    def _own(self, says: Sequence[float]) -> Iterable[torch.Tensor]:
        return (torch.tensor(number, dtype=torch.float64, device=self.device) for number in says)


def example_inputs(job: Job, batch: int) -> torch.Tensor:
    """Inputs of the network without memory."""
    with unset_fake_temporarily():  # a plain tensor also in a dry run
        if job.data.sequence is not None:
            return torch.empty(batch, job.data.sequence, dtype=torch.int64, device="meta")
        return torch.empty(batch, job.model.channels, job.data.pixels, job.data.pixels, device="meta")


def adamw(pieces: Sequence[Piece], network: Network, spec: OptimizerSpec) -> torch.optim.AdamW:
    """AdamW whose weight decay leaves out vectors and the positions: biases, norms and tokens.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; DeiT's ``no_weight_decay``.
    """
    decaying = [piece.values for piece in pieces if _decays(network.held(piece.name).shape)]
    others = [piece.values for piece in pieces if not _decays(network.held(piece.name).shape)]
    groups = [
        {"params": parameters, "weight_decay": decay}
        for parameters, decay in ((decaying, spec.weight_decay), (others, 0.0))
        if parameters
    ]
    # a rank whose part of the parameters is nothing but padding has nothing to update
    groups = groups or [{"params": [torch.nn.Parameter(torch.zeros(0))], "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=spec.learning_rate, betas=spec.betas, fused=True)


def mixed(precision: Precision, device: torch.device) -> torch.autocast:
    """Matrix products in bfloat16 if the precision says so; to be entered anew for each forward pass.

    Inside, torch keeps the converted parameters: what the optimizer changes would not be seen before the end.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.BFLOAT16)


def normalise(pictures: torch.Tensor, *, channels: int, mean: float = 0.5, std: float = 0.5) -> torch.Tensor:
    """Pictures of bytes to float32, ``(pictures / 255 - mean) / std``, shape (B, C, H, W).

    Args:
        pictures: Grey, shape (B, H, W), whose one channel is repeated, or in colour, shape (B, 3, H, W).
        channels: C; 3 for pictures in colour.
        mean: What becomes 0, of the largest value.
        std: What becomes 1, of the largest value.
    """
    x_BCHW = pictures.unsqueeze(1) if pictures.ndim == 3 else pictures
    return x_BCHW.float().div_(255 * std).sub_(mean / std).expand(-1, channels, -1, -1)


def _decays(shape: Sequence[int]) -> bool:
    return len(shape) > 1 and shape[0] != 1


def _mix(seed: int, step: int, reader: int, stage: int) -> int:
    """A different seed for each step and for ranks with other samples or blocks, the same after a restart."""
    mixed = seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + reader * 0x94D049BB133111EB
    return (mixed + stage * 0xD6E8FEB86659FD93) % 2**63
