"""One job file: trained here, captured, simulated elsewhere."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VIT_BASE = ROOT / "examples" / "vit_base_visualatom.toml"
KEYS = [
    "nodes",
    "ranks",
    "step_s",
    "compute_s",
    "communication_s",
    "exposed_communication_s",
    "idle_s",
    "samples_per_s",
    "flops_per_s",
    "fraction_of_peak",
    "parallel_efficiency",
    "memory_bytes_per_rank",
    "memory_fits",
    "memory",
    "memory_shortage",
    "breakdown",
]


def test_two_ranks_train_the_job_that_is_simulated_on_fugaku(small, succeed, simulate):
    succeed("train", small, "--set", "name=two_ranks", ranks=2)
    run = small.parent / "runs" / "two_ranks"
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if "loss" in line] == [1, 2]
    assert sorted(path.name for path in run.iterdir()) == ["job.toml", "log.jsonl", "step-00000002"]
    points = simulate(small, "fugaku", "2,48")["points"]
    assert [(point["nodes"], point["ranks"]) for point in points] == [(2, 2), (48, 48)]


def test_captured_file_gives_the_figures_of_the_job(small, workload, simulate):
    of_job, of_file = (simulate(source, "fugaku", "48")["points"][0] for source in (small, workload))
    # a workload of one size knows no smaller one to compare itself with
    del of_job["parallel_efficiency"], of_file["parallel_efficiency"]
    assert of_job == of_file


def test_vision_transformer_runs_on_all_of_fugaku(simulate):
    reports = [simulate(VIT_BASE, "fugaku", "158976", "--seed", "7") for _ in range(2)]
    assert all(set(report.pop("simulation")) == {"cpu_s", "peak_rss_bytes"} for report in reports)
    assert reports[0] == reports[1]
    (point,) = reports[0]["points"]
    assert list(point) == KEYS
    assert point["ranks"] == 158_976
    # parameters, gradients and two moments in float32, of 86.6 million parameters; an A64FX has 32 GiB
    assert 16 * 86.6e6 < point["memory_bytes_per_rank"] < 32 * 2**30
    assert point["step_s"] == pytest.approx(
        point["compute_s"] + point["exposed_communication_s"] + point["idle_s"], rel=1e-6
    )
    # three times the multiplications and additions of the forward pass, 17.6 G a picture: Touvron et al., DeiT, table 5
    flops_per_sample = point["flops_per_s"] / point["samples_per_s"]
    assert flops_per_sample == pytest.approx(3 * 2 * 17.6e9, rel=0.02)
    assert 0 < point["parallel_efficiency"] < 1


@pytest.mark.parametrize(("machine", "devices"), [("abci", 8), ("tsubame", 4)])
def test_gpu_machines_run_one_rank_a_device(small, simulate, machine, devices):
    (point,) = simulate(small, machine, "16")["points"]
    assert point["ranks"] == 16 * devices


def test_printed_bytes_are_the_same_for_the_same_seed_and_others_for_another(workload, succeed):
    arguments = ["simulate", workload, "--machine", "fugaku", "--nodes", 48, "--json", "--seed"]
    first, again, other = (succeed(*arguments, seed).partition('"simulation"') for seed in (1, 1, 2))
    assert first[:2] == again[:2]
    assert first[1]
    assert first[0] != other[0]
