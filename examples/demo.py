"""The main job, from nothing: make pictures, pre-train on them, fine-tune on digits, simulate on Fugaku."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from fujimi_core import job as jobs
from fujimi_core.plugins import Plugins
from fujimi_core.tables import table
from fujimi_train import checkpoint
from fujimi_train.device import decide_precision
from fujimi_train.finetuning import FinetuneSpec, accuracy, finetune, load_backbone
from PIL import Image
from sklearn.datasets import load_digits

HERE = Path(__file__).parent
JOB = HERE / "demo.toml"
OUT = Path("demo_output")
RANKS = 2
NODES = "1,64,1024,13824,158976"
LABELS_PER_CLASS = 10
SEEDS = range(3)


def main():
    start = time.perf_counter()
    shutil.rmtree(OUT, ignore_errors=True)
    job = jobs.load(JOB)
    data = job.data
    say("1. Pictures from formulas, into tar shards")
    sizes = ["--classes", data.classes, "--instances", data.instances, "--pixels", data.pixels]
    fujimi("data", "generate", data.family, *sizes, "--out", data.path, "--samples-per-shard", 512)
    say(f"2. Pre-training on {RANKS} MPI ranks of this machine")
    run([program("mpiexec"), "-n", RANKS, program("fujimi"), "train", JOB])
    say(f"3. Fine-tuning on scikit-learn's digits, {LABELS_PER_CLASS} labels a class")
    compare(job)
    say("4. The same job file on Fugaku, which nobody here has")
    plot = OUT / "demo_on_fugaku.png"
    fujimi("simulate", JOB, "--machine", "fugaku", "--nodes", NODES, "--plot", plot)
    say(f"Done in {time.perf_counter() - start:.0f} s.")
    print(
        f"pictures     {data.path}/ ('fujimi data info {data.path}')\n"
        f"checkpoint   {checkpoint.directory_of(job)}/, with the log of every step\n"
        f"scaling      {plot}\n"
        f"Try next:    fujimi simulate {HERE.name}/vit_base_visualatom.toml --machine fugaku --nodes {NODES}\n"
        f"             fujimi simulate {HERE.name}/demo.toml --machine abci --nodes 1,64 --report abci.html\n"
        f"             fujimi machine list\n"
        f"(fujimi lives in {Path(program('fujimi')).parent})"
    )


def compare(job):
    """Accuracy of the pre-trained network and of the same one from scratch, over seeds."""
    pictures, labels = digits(job.data.pixels)
    state = checkpoint.load_model(checkpoint.newest(checkpoint.directory_of(job)))
    build = Plugins.installed().model(job.model.name).build
    target = replace(job, data=replace(job.data, classes=10))
    precision = decide_precision(job, torch.device("cpu")).parallel.precision
    found = {"from scratch": [], "pre-trained": []}
    for seed in SEEDS:
        train, test = split(labels, seed)
        spec = FinetuneSpec(steps=80, batch=50, learning_rate=5e-4, precision=precision, seed=seed)
        for name, accuracies in found.items():
            torch.manual_seed(seed)
            model = build(target)
            if name == "pre-trained":
                load_backbone(model, state)
            finetune(model, pictures[train], labels[train], spec, channels=job.model.channels)
            accuracies.append(100 * accuracy(model, pictures[test], labels[test], channels=job.model.channels))
            print(f"  seed {seed}, {name}: {accuracies[-1]:.1f} %", file=sys.stderr)
    rows = [
        [name, " ".join(f"{value:.1f}" for value in values), f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"]
        for name, values in found.items()
    ]
    print(table(["digits", "accuracy [%] by seed", "mean ± std"], rows))


def digits(pixels):
    """Scikit-learn's 1,797 digits of 8 × 8, enlarged."""
    bunch = load_digits()
    small = (bunch.images * (255 / 16)).astype(np.uint8)
    size = (pixels, pixels)
    return np.stack([np.asarray(Image.fromarray(digit).resize(size, Image.Resampling.BICUBIC)) for digit in small]), (
        bunch.target.astype(np.int64)
    )


def split(labels, seed):
    """Indices of a few labelled samples a class, and of all others."""
    random = np.random.default_rng(seed)
    train = np.concatenate(
        [random.permutation(np.flatnonzero(labels == label))[:LABELS_PER_CLASS] for label in np.unique(labels)]
    )
    return train, np.setdiff1d(np.arange(len(labels)), train)


def fujimi(*arguments):
    run([program("fujimi"), *arguments])


def run(command):
    """Run a program as the reader would, after showing it."""
    words = [str(word) for word in command]
    print("$", " ".join([Path(words[0]).name, *words[1:]]), flush=True)
    # between a rank and the terminal stands mpiexec: tell the ranks that there is one
    terminal = {"TTY_INTERACTIVE": "1"} if sys.stderr.isatty() else {}
    if subprocess.run(words, env=os.environ | terminal, check=False).returncode:
        sys.exit(f"'{' '.join(words)}' failed; the message is above")


def program(name):
    """A program of this environment."""
    return str(Path(sys.executable).with_name(name))


def say(text):
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
