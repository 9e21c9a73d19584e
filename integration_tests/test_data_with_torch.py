"""Shards in torch's own loaders, and datasets made by the ranks of mpiexec."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from fujimi_core.plugins import Plugins
from fujimi_data.generation import generate, recipe_of
from fujimi_data.loader import BatchLoader
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.tensors import TensorBatches
from torch.utils.data import DataLoader

SIZES = ["--classes", "5", "--instances", "8", "--pixels", "32", "--seed", "3", "--samples-per-shard", "7"]
FUJIMI = str(Path(sys.executable).with_name("fujimi"))


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 pictures in 6 shards."""
    out = tmp_path_factory.mktemp("shards") / "out"
    generator = Plugins.installed(disabled=()).generator("visualatom")
    generate(generator, recipe_of(generator, classes=5, instances=8, pixels=32, seed=3, samples_per_shard=7), out)
    return out


def samples_to_tensors(samples: list) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = np.stack([sample.picture for sample in samples])
    return torch.from_numpy(pictures), torch.tensor([sample.label for sample in samples])


@pytest.mark.parametrize("workers", [0, 2])
def test_torch_loads_a_dataset_of_shards(directory: Path, workers: int) -> None:
    dataset = ShardDataset(directory)
    loader = DataLoader(
        dataset, batch_size=8, shuffle=True, num_workers=workers, collate_fn=samples_to_tensors,
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    pictures = torch.cat([batch for batch, _ in loader])
    expected = np.stack([sample.picture for sample in dataset])
    assert sorted(map(bytes, pictures.numpy())) == sorted(map(bytes, expected))


def test_batches_of_tensors_go_on_with_another_number_of_ranks(directory: Path) -> None:
    source = ShardDataset(directory)
    with BatchLoader(source, seed=1, global_batch=12) as loader:
        expected = [next(loader) for _ in range(5)]
    alone = TensorBatches(BatchLoader(source, seed=1, global_batch=12))
    batches = iter(DataLoader(alone, batch_size=None))
    for step in range(2):
        pictures, labels = next(batches)
        assert torch.equal(pictures, torch.from_numpy(expected[step].pictures))
        assert torch.equal(labels, torch.from_numpy(expected[step].labels))
    assert alone.state_dict() == {"step": 2}
    loaders = [BatchLoader(source, seed=1, global_batch=12, rank=rank, world_size=3) for rank in range(3)]
    shared = [TensorBatches(loader) for loader in loaders]
    for each in shared:
        each.load_state_dict(alone.state_dict())
    streams = [iter(each) for each in shared]
    for step in range(2, 5):
        labels = torch.cat([next(stream)[1] for stream in streams])
        assert torch.equal(labels, torch.from_numpy(expected[step].labels))


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_of_mpiexec_make_the_bytes_that_one_process_makes(directory: Path, tmp_path: Path, ranks: int) -> None:
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    command = [str(mpiexec), "-n", str(ranks), FUJIMI, "data", "generate", "visualatom", *SIZES, "--out", "out"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "40 samples in 6 shards" in done.stdout
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert made == {path.name: path.read_bytes() for path in directory.iterdir()}


def test_tasks_of_a_slurm_array_make_the_bytes_that_one_process_makes(directory: Path, tmp_path: Path) -> None:
    array = {"SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "3", "SLURM_ARRAY_TASK_COUNT": "3"}
    command = [FUJIMI, "data", "generate", "visualatom", *SIZES, "--out", "out"]
    for task in ("2", "1", "3"):
        environ = {**os.environ, **array, "SLURM_ARRAY_TASK_ID": task}
        subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, check=True, timeout=240)
    made = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert made == {path.name: path.read_bytes() for path in directory.iterdir()}
