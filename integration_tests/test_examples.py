"""Jobs of the examples, captured from the command line."""

import tomllib
from pathlib import Path

from fujimi_core import workload_file
from fujimi_core.job import from_table, load, to_toml

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
