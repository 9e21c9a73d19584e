"""Program: what a job does on one rank, the same in training and in capture.

Shapes: B pictures, C channels, H height, W width, K classes.
"""

import torch
import torch.nn.functional as F
from fujimi_core.job import Job, Precision
from fujimi_core.offers import Model
from fujimi_parallel.collectives import average
from fujimi_parallel.data_parallel import data_parallel
from fujimi_parallel.world import World
from torch import nn

from fujimi_train.schedule import learning_rate


class Program:
    """Model, optimizer and step of a job on one rank.

    Args:
        job: What to train; its precision is decided.
        model: Which network the job names.
        world: The ranks.
        device: What this rank computes on.
    """

    def __init__(self, job: Job, model: Model, world: World, *, device: torch.device) -> None:
        if job.train.precision is Precision.AUTO:
            raise ValueError("a program needs a precision that is decided")
        self.job = job
        self.world = world
        self.device = device
        torch.manual_seed(job.seed)
        with device:
            self.model: nn.Module = model.build(job)
        self.wrapped = data_parallel(self.model, world, bucket_bytes=job.parallel.bucket_bytes)
        self.optimizer = adamw(self.model, job)

    def step(self, number: int, pictures_BHW: torch.Tensor, labels_B: torch.Tensor) -> torch.Tensor:
        """Do one optimizer step.

        Args:
            number: Of the step, from 0.
            pictures_BHW: Grey pictures of this rank, uint8.
            labels_B: Their classes, int64.

        Returns:
            Mean loss over all ranks, before the step; a scalar.
        """
        torch.manual_seed(_mix(self.job.seed, number, self.world.rank))
        x_BCHW = normalise(pictures_BHW.to(self.device), channels=self.job.model.channels)
        with mixed(self.job.train.precision, self.device):
            logits_BK = self.wrapped(x_BCHW)
        smoothing = self.job.train.label_smoothing
        loss = F.cross_entropy(logits_BK.float(), labels_B.to(self.device), label_smoothing=smoothing)
        mean_loss = loss.detach().clone()
        averaging = average(mean_loss, self.world)
        loss.backward()
        self._update(number)
        if averaging:
            averaging.wait()
        return mean_loss

    def rate(self, number: int) -> float:
        """Learning rate of a step."""
        spec = self.job.optimizer
        return learning_rate(number, self.job.train.steps, warmup_steps=spec.warmup_steps, highest=spec.learning_rate)

    def _update(self, number: int) -> None:
        if self.job.optimizer.clip_norm:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.job.optimizer.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(number)
        self.optimizer.step()
        self.optimizer.zero_grad()


def adamw(model: nn.Module, job: Job) -> torch.optim.AdamW:
    """AdamW whose weight decay leaves out vectors and the positions: biases, norms and tokens.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019; DeiT's ``no_weight_decay``.
    """
    parameters = list(model.parameters())
    matrices = [parameter for parameter in parameters if _decays(parameter)]
    others = [parameter for parameter in parameters if not _decays(parameter)]
    groups = [{"params": matrices, "weight_decay": job.optimizer.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=job.optimizer.learning_rate, betas=job.optimizer.betas, fused=True)


def mixed(precision: Precision, device: torch.device) -> torch.autocast:
    """Matrix products in bfloat16 if the precision says so; to be entered anew for each forward pass.

    Inside, torch keeps the converted parameters: what the optimizer changes would not be seen before the end.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision is Precision.BFLOAT16)


def normalise(pictures_BHW: torch.Tensor, *, channels: int) -> torch.Tensor:
    """Grey uint8 pictures to float32 in [-1, 1], the channel repeated; shape (B, C, H, W)."""
    x_BCHW = pictures_BHW.unsqueeze(1).float().div_(127.5).sub_(1.0)
    return x_BCHW.expand(-1, channels, -1, -1)


def _decays(parameter: nn.Parameter) -> bool:
    return parameter.dim() > 1 and parameter.shape[0] != 1


def _mix(seed: int, step: int, rank: int) -> int:
    """A different seed for each step and rank, the same after a restart."""
    return (seed * 0x9E3779B97F4A7C15 + step * 0xBF58476D1CE4E5B9 + rank * 0x94D049BB133111EB) % 2**63
