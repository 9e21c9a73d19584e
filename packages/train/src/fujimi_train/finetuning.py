"""Fine-tuning: a trained network learns the classes of another data set with a new head.

Shapes: B pictures, H height, W width, K classes.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from fujimi_core.errors import JobError
from fujimi_core.job import Precision
from numpy.typing import NDArray
from torch import nn

from fujimi_train.program import mixed, normalise
from fujimi_train.schedule import learning_rate

_LOGITS = "head.linear."


@dataclass(frozen=True, slots=True, kw_only=True)
class FinetuneSpec:
    """How to fine-tune.

    Args:
        steps: Optimizer steps.
        batch: Samples a step, drawn without replacement from a shuffled pass over the data.
        learning_rate: At its highest; warmed up over a tenth of the steps.
        weight_decay: Decoupled, on all parameters.
        precision: Type of matrix products; not ``auto``.
        seed: Of the new head, the order and nothing else.
        mean: Of pixels, as a job's ``data.mean``.
        std: Of pixels, as a job's ``data.std``.
    """

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.05
    precision: Precision = Precision.FLOAT32
    seed: int = 0
    mean: float = 0.5
    std: float = 0.5


def load_backbone(model: nn.Module, state: dict[str, torch.Tensor]) -> nn.Module:
    """Take up all parameters of a trained network but those that make logits.

    Args:
        model: Of the same size; its ``head.linear`` may have other classes.
        state: As ``state_dict`` of the trained network returned it.

    Raises:
        JobError: If the networks differ in more.
    """
    own = model.state_dict()
    kept = {name: tensor for name, tensor in state.items() if not name.startswith(_LOGITS)}
    wrong = [name for name in own if not name.startswith(_LOGITS) and _shape(kept, name) != own[name].shape]
    extra = [name for name in kept if name not in own]
    if wrong or extra:
        name = (wrong + extra)[0]
        raise JobError(
            f"the trained network does not fit: {name} is {_shape(kept, name)} there, {_shape(own, name)} here; "
            f"model, patch, pixels and channels must be the same"
        )
    model.load_state_dict(kept, strict=False)
    return model


def finetune(
    model: nn.Module, pictures_BHW: NDArray[np.uint8], labels_B: NDArray[np.int64], spec: FinetuneSpec, *, channels: int
) -> nn.Module:
    """Train all parameters on a small data set, on the device where they are.

    Args:
        model: Starts from what it is.
        pictures_BHW: Grey pictures.
        labels_B: Their classes.
        spec: How.
        channels: That the model takes.
    """
    device = _device_of(model)
    x_BCHW = normalise(torch.from_numpy(pictures_BHW).to(device), channels=channels, mean=spec.mean, std=spec.std)
    target_B = torch.from_numpy(labels_B).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=spec.weight_decay, fused=True)
    random = np.random.default_rng(spec.seed)
    order: list[int] = []
    model.train()
    for step in range(spec.steps):
        while len(order) < spec.batch:
            order += random.permutation(len(labels_B)).tolist()
        chosen, order = order[: spec.batch], order[spec.batch :]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, spec.steps, warmup_steps=spec.steps // 10, highest=spec.learning_rate)
        with mixed(spec.precision, x_BCHW.device):
            logits_BK = model(x_BCHW[chosen])
        loss = F.cross_entropy(logits_BK.float(), target_B[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


@torch.no_grad()
def accuracy(
    model: nn.Module,
    pictures_BHW: NDArray[np.uint8],
    labels_B: NDArray[np.int64],
    *,
    channels: int,
    mean: float = 0.5,
    std: float = 0.5,
    batch: int = 256,
) -> float:
    """Share of pictures whose class the model finds, 0 to 1.

    Args:
        model: As `finetune` returned it.
        pictures_BHW: Grey pictures.
        labels_B: Their classes.
        channels: That the model takes.
        mean: Of pixels, as in fine-tuning.
        std: Of pixels, as in fine-tuning.
        batch: Pictures at a time.
    """
    model.eval()
    device = _device_of(model)
    right = 0
    for start in range(0, len(labels_B), batch):
        pictures = torch.from_numpy(pictures_BHW[start : start + batch]).to(device)
        x_BCHW = normalise(pictures, channels=channels, mean=mean, std=std)
        found_B = model(x_BCHW).argmax(dim=1).cpu().numpy()
        right += int((found_B == labels_B[start : start + batch]).sum())
    return right / len(labels_B)


def _device_of(model: nn.Module) -> torch.device:
    return next((parameter.device for parameter in model.parameters()), torch.device("cpu"))


def _shape(state: dict[str, torch.Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None
