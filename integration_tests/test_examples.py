"""Jobs of the examples, captured from the command line."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from fujimi_core import workload_file
from fujimi_core.job import from_table, load, to_toml
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_vision_transformer_is_captured_on_all_of_fugaku(succeed, tmp_path):
    out = tmp_path / "workload.jsonl"
    example = EXAMPLES / "vit_base_visualatom.toml"
    role, file = succeed("capture", example, "--ranks", 158_976, "--out", out).splitlines()
    assert role.startswith("every rank: embed, blocks.0-11, head: ")
    assert file.startswith(f"{out}: 158,976 ranks, captured in ")
    workload = workload_file.load(out)
    assert workload.samples_per_step == load(example).train.batch_per_rank * 158_976


def test_fugaku_llm_with_a_smaller_network_is_captured_on_its_ranks(succeed, tmp_path):
    file, out = tmp_path / "job.toml", tmp_path / "workload.jsonl.gz"
    table = tomllib.loads((EXAMPLES / "fugaku_llm_13b.toml").read_text(encoding="utf-8"))
    table["model"]["name"] = "gpt2_small"
    table["data"]["sequence"] = 64
    table["train"]["global_batch"] = 2 * 288
    table["parallel"]["recompute"] = [0, 1, 2, 3, 4, 5]
    file.write_text(to_toml(from_table(table)), encoding="utf-8")
    *roles, _ = succeed("capture", file, "--ranks", 13_824, "--out", out).splitlines()
    assert [role.rpartition(": ")[0] for role in roles] == [
        "pipeline rank 0: embed, blocks.0",
        "pipeline rank 1: blocks.1",
        "pipeline rank 2: blocks.2-3",
        "pipeline rank 3: blocks.4-5",
        "pipeline rank 4: blocks.6-7",
        "pipeline rank 5: blocks.8-9",
        "pipeline rank 6: blocks.10",
        "pipeline rank 7: blocks.11, head",
    ]
    workload = workload_file.load(out)
    assert {axis.name: axis.extent for axis in workload.mesh.axes} == {"pp": 8, "dp": 288, "tp": 6}
    assert workload.samples_per_step == 576


def test_photographs_are_packed_trained_on_with_deits_recipe_and_simulated(succeed, simulate, tmp_path):
    random = np.random.default_rng(0)
    for number in range(24):
        file = tmp_path / "folder" / ("ant", "bee", "cat")[number % 3] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        # photographs have different sizes
        Image.fromarray(random.integers(0, 256, (40 + number, 48, 3), dtype=np.uint8)).save(file)
    packed = tmp_path / "packed"
    succeed("data", "pack", tmp_path / "folder", "--out", packed)
    job = EXAMPLES / "photographs.toml"
    changes = {
        "model.name": "vit_tiny",
        "model.drop_path": 0.0,  # random numbers of its own on each rank
        "data.path": packed,
        "data.classes": 3,
        "data.pixels": 32,
        "train.steps": 2,
        "train.batch_per_rank": 6,
        "train.out": tmp_path / "runs",
    }
    arguments = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    losses = []
    for ranks in (1, 2):
        sharing = ["--set", f"name=on_{ranks}", "--set", f"train.batch_per_rank={12 // ranks}"]
        succeed("train", job, *arguments, *sharing, ranks=ranks)
        log = (tmp_path / "runs" / f"on_{ranks}" / "log.jsonl").read_text().splitlines()
        losses.append([step["loss"] for step in map(json.loads, log) if "loss" in step])
    assert len(losses[0]) == 2
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert simulate(job, "fugaku", 1024)["points"][0]["ranks"] == 1024
