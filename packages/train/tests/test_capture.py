import functools
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from fujimi_core.errors import JobError
from fujimi_core.job import from_table
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Model
from fujimi_core.workload import Collective, Kernel, Workload
from fujimi_parallel import offload
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.world import World
from fujimi_train.capture import capture
from fujimi_train.data import next_batch, open_loader
from fujimi_train.plugin import fujimi_models
from fujimi_train.program import Program

RECORDER = Path(__file__).with_name("record_ranks.py")
VIT_TINY = next(model for model in fujimi_models() if model.name == "vit_tiny")
#: What is offloaded of networks this small; as a rule it would be nothing.
SMALLEST_OFFLOADED_BYTES = 1024
DATA = {
    "gpt": {"family": "tokens", "sequence": 16, "vocabulary": 24},
    "vit": {"family": "visualatom", "classes": 6, "instances": 1, "pixels": 16},
}

#: By number of ranks: network, its blocks, and how ranks share the work. Each axis stands alone and with each other
#: one, and each value of each option is there, with four ranks and with eight.
PLANS = {
    4: [
        ("gpt", 2, {"data": 4}),
        ("vit", 2, {"data": 4, "accumulate": 2, "bucket_bytes": 20_000, "grad_reduce_dtype": "bfloat16"}),
        ("gpt", 2, {"data": 4, "zero": 1, "offload": "optimizer"}),
        ("vit", 2, {"data": 4, "zero": 2, "accumulate": 2, "recompute": "full"}),
        ("gpt", 2, {"data": 4, "zero": 3, "recompute": "selective"}),
        ("vit", 2, {"data": 4, "zero": 3, "accumulate": 2, "precision": "bfloat16"}),
        ("gpt", 2, {"tensor": 4, "recompute": "selective"}),
        ("vit", 2, {"tensor": 4, "offload": "activations"}),
        ("vit", 4, {"pipeline": 4}),
        ("vit", 4, {"pipeline": 4, "schedule": "zero-bubble", "recompute": "full"}),
        ("gpt", 1, {"sequence": 4, "recompute": "full"}),
        ("vit", 1, {"sequence": 4, "offload": "all"}),
        ("gpt", 2, {"data": 2, "tensor": 2, "zero": 1, "placement": ["tp", "sp", "dp", "pp"]}),
        ("vit", 2, {"data": 2, "pipeline": 2, "zero": 3, "accumulate": 2}),
        ("gpt", 2, {"data": 2, "pipeline": 2, "zero": 2, "accumulate": 2, "schedule": "zero-bubble"}),
        ("gpt", 4, {"data": 2, "pipeline": 2, "schedule": "interleaved", "virtual_stages": 2}),
        ("gpt", 2, {"data": 2, "sequence": 2, "zero": 3, "recompute": [1]}),
        (
            "vit",
            4,
            {
                "tensor": 2,
                "pipeline": 2,
                "schedule": "zero-bubble",
                "virtual_stages": 2,
                "microbatch": 8,
                "offload": "activations",
            },
        ),
        ("gpt", 2, {"tensor": 2, "sequence": 2, "zero": 2, "grad_reduce_dtype": "bfloat16"}),
        ("gpt", 2, {"data": 2, "tensor": 2, "zero": 1, "precision": "pure_bfloat16"}),
        ("vit", 2, {"data": 2, "pipeline": 2, "accumulate": 2, "precision": "pure_bfloat16"}),
        ("vit", 2, {"pipeline": 2, "sequence": 2, "zero": 1, "schedule": "gpipe"}),
    ],
    8: [
        ("gpt", 2, {"data": 8, "zero": 3}),
        ("vit", 2, {"data": 8, "zero": 2, "offload": "all"}),
        ("gpt", 2, {"tensor": 8, "accumulate": 2}),
        ("vit", 8, {"pipeline": 8, "microbatch": 4}),
        ("vit", 1, {"sequence": 8}),
        ("gpt", 2, {"data": 4, "tensor": 2, "zero": 3, "recompute": "selective"}),
        ("vit", 4, {"data": 2, "pipeline": 4, "zero": 1, "recompute": "full"}),
        ("gpt", 2, {"data": 2, "tensor": 2, "pipeline": 2, "zero": 3, "offload": "optimizer"}),
        (
            "vit",
            4,
            {
                "data": 2,
                "tensor": 2,
                "pipeline": 2,
                "schedule": "interleaved",
                "virtual_stages": 2,
                "zero": 2,
                "placement": ["tp", "sp", "dp", "pp"],
            },
        ),
        ("gpt", 2, {"data": 2, "tensor": 2, "sequence": 2, "accumulate": 2}),
        ("vit", 2, {"data": 2, "pipeline": 2, "sequence": 2, "zero": 3, "schedule": "zero-bubble"}),
        (
            "gpt",
            2,
            {
                "tensor": 2,
                "pipeline": 2,
                "sequence": 2,
                "schedule": "gpipe",
                "recompute": "full",
                "offload": "activations",
            },
        ),
    ],
}


def table_of(kind, parallel):
    """The job of a plan."""
    parallel = dict(parallel)
    train = {"steps": 2, "global_batch": 16}
    parallel.setdefault("precision", "float32")
    model = {"name": kind, "patch": 4, "channels": 1}
    return {"name": "plan", "model": model, "data": DATA[kind], "train": train, "parallel": parallel}


@pytest.fixture(scope="module")
def record(mpiexec, tmp_path_factory):
    """Runs all plans for so many ranks, once; what each rank did of each plan is returned, by number of the plan."""

    @functools.cache
    def run(ranks):
        folder = tmp_path_factory.mktemp("recorded")
        plans = [
            {
                "kind": kind,
                "depth": depth,
                "table": table_of(kind, parallel),
                "smallest_offloaded_bytes": SMALLEST_OFFLOADED_BYTES,
            }
            for kind, depth, parallel in PLANS[ranks]
        ]
        (folder / "plans.json").write_text(json.dumps(plans))
        command = [mpiexec, "-n", str(ranks), sys.executable, str(RECORDER), str(folder)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
        assert done.returncode == 0, done.stderr
        by_rank = [json.loads((folder / str(rank)).read_text()) for rank in range(ranks)]
        return list(zip(*by_rank, strict=True))

    return run


def named(plan):
    kind, depth, parallel = plan
    return f"{kind}{depth}-" + "-".join(f"{key}={value}" for key, value in parallel.items())


@pytest.mark.parametrize(
    ("ranks", "number"),
    [
        pytest.param(ranks, number, id=f"{ranks}-{named(plan)}")
        for ranks, plans in PLANS.items()
        for number, plan in enumerate(plans)
    ],
)
def test_every_rank_does_what_is_captured_of_its_role(ranks, number, record, make_planned_model, in_order, monkeypatch):
    monkeypatch.setattr(offload, "SMALLEST_BYTES", SMALLEST_OFFLOADED_BYTES)
    kind, depth, parallel = PLANS[ranks][number]
    workload = capture(from_table(table_of(kind, parallel)), make_planned_model(kind, depth), ranks=ranks)
    recorded = record(ranks)[number]
    told = [rank for role in workload.roles for rank in workload.mesh.slice(role.where).tolist()]
    assert sorted(told) == list(range(ranks))
    for role in workload.roles:
        expected = json.loads(json.dumps(in_order(role.events)))
        assert len(expected) > 10
        # gloo's threads let go of what they sent last when they get to it, so a rank may hold some messages for longer,
        # of which the capture lets go at once
        late = sum(sorted((event.nbytes for event in role.events if not isinstance(event, Kernel)), reverse=True)[:4])
        for rank in workload.mesh.slice(role.where).tolist():
            assert recorded[rank]["sequence"] == expected, f"rank {rank}, {role.name}"
            apart = recorded[rank]["peak_bytes"] - role.memory.peak_bytes
            # ranks that share a tensor unevenly differ in a counter of steps for each piece
            assert -0.001 * role.memory.peak_bytes <= apart <= 0.001 * role.memory.peak_bytes + late


def gradients(workload: Workload) -> int:
    return sum(event.nbytes for event in workload.roles[0].events if isinstance(event, Collective))


def test_world_of_all_fugaku_sends_each_gradient_once(make_job, tiny):
    workload = capture(make_job(), tiny, ranks=158_976)
    parameters = sum(parameter.numel() for parameter in tiny.build(make_job()).parameters())
    assert workload.mesh.world_size == 158_976
    assert workload.samples_per_step == 4 * 158_976
    loss_and_norm = 2 * 8
    assert gradients(workload) == 4 * parameters + loss_and_norm


def test_one_rank_does_not_communicate(make_job, tiny):
    assert gradients(capture(make_job(), tiny, ranks=1)) == 0


def test_flops_of_a_step_are_six_a_weight_and_token(make_job):
    job = make_job(model={"name": "vit_tiny", "patch": 16}, data={"pixels": 224}, train={"batch_per_rank": 2})
    workload = capture(job, VIT_TINY, ranks=1)
    tokens, width, depth = 197, 192, 12
    blocks = 6 * 12 * width**2 * depth * tokens
    attention = (4 + 10) * tokens**2 * width * depth
    patches = 6 * (tokens - 1) * 16 * 16 * width
    head = 6 * width * 3
    # the gradient with respect to the pictures is never needed
    unused = 2 * (tokens - 1) * 16 * 16 * width
    assert workload.flops == 2 * (blocks + attention + patches + head - unused)


def test_memory_of_optimizer_and_parameters_is_three_times_the_parameters(make_job, tiny):
    memory = capture(make_job(), tiny, ranks=8).roles[0].memory
    parameters = 4 * sum(parameter.numel() for parameter in tiny.build(make_job()).parameters())
    assert memory.parameter_bytes == parameters
    assert memory.optimizer_bytes == pytest.approx(2 * parameters, rel=0.01)
    assert memory.peak_bytes >= 4 * parameters
    assert sum(value for name, value in asdict(memory).items() if name != "peak_bytes") == memory.peak_bytes


def test_parameters_that_are_collected_and_gradients_on_their_way_are_buffers(make_job, tiny):
    memory = {level: capture(make_job(parallel={"zero": level}), tiny, ranks=4).roles[0].memory for level in (0, 3)}
    assert memory[0].buffer_bytes == 0  # its gradients leave from where they stay
    assert 0 < memory[3].buffer_bytes < memory[0].parameter_bytes
    assert memory[0].workspace_bytes > 0


def test_recomputation_leaves_fewer_activations(make_planned_model):
    found = {
        how: capture(from_table(table_of("gpt", {"recompute": how})), make_planned_model("gpt", 3), ranks=1)
        .roles[0]
        .memory
        for how in ("none", "full")
    }
    assert found["full"].activation_bytes < found["none"].activation_bytes


@pytest.mark.parametrize(("recompute", "more"), [("none", 0), ("selective", 0), ("full", 1)])
def test_sums_over_tensor_ranks_are_computed_again_with_the_products_only(make_planned_model, recompute, more):
    job = from_table(table_of("gpt", {"tensor": 2, "recompute": recompute}))
    events = capture(job, make_planned_model("gpt", 3), ranks=2).roles[0].events
    sums = [event for event in events if isinstance(event, Collective) and event.axes == ("tp",)]
    backward = [event for event in sums if event.phase == "backward"]
    without = 2 * 3 + 1  # of each block's and the head's inputs
    assert len(backward) == without + more * 3  # nothing needs the last sum of a block again


def outside_bytes(workload: Workload, op: str) -> int:
    kernels = [event for event in workload.roles[0].events if isinstance(event, Kernel)]
    return sum(kernel.outside_bytes for kernel in kernels if kernel.op == op)


def test_optimizer_state_outside_is_read_and_written_each_step(make_job, tiny, monkeypatch):
    monkeypatch.setattr(offload, "SMALLEST_BYTES", 0)
    parameters = 4 * sum(parameter.numel() for parameter in tiny.build(make_job()).parameters())
    workload = capture(make_job(parallel={"offload": "optimizer"}), tiny, ranks=2)
    assert outside_bytes(workload, "aten._fused_adamw_") == 2 * 2 * parameters
    assert outside_bytes(capture(make_job(), tiny, ranks=2), "aten._fused_adamw_") == 0


def test_activations_outside_go_there_and_come_back(make_job, tiny, monkeypatch):
    monkeypatch.setattr(offload, "SMALLEST_BYTES", SMALLEST_OFFLOADED_BYTES)
    workload = capture(make_job(parallel={"offload": "activations"}), tiny, ranks=2)
    copies = [event for event in workload.roles[0].events if isinstance(event, Kernel) and event.outside_bytes]
    assert {kernel.op for kernel in copies} == {"aten.copy_"}
    there = [kernel.outside_bytes for kernel in copies if kernel.phase == "forward"]
    back = [kernel.outside_bytes for kernel in copies if kernel.phase == "backward"]
    assert there
    assert sorted(there) == sorted(back)


def test_steps_are_captured_the_same_each_time(make_job, tiny):
    assert capture(make_job(), tiny, ranks=64) == capture(make_job(), tiny, ranks=64)


def test_step_of_a_job_that_mixes_is_captured_as_it_is_done(make_job, tiny, plugins, dataset):
    job = make_job(data={"augment": "deit", "mix": True}, train={"global_batch": 6, "batch_per_rank": None})
    mesh = Mesh.of(dp=1)
    with open_loader(job, reader=0, readers=1, first_step=0) as loader, Recorder(mesh) as recorder:
        program = Program(job, tiny, World(rank=0, mesh=mesh), device=torch.device("cpu"))
        samples, labels = (torch.from_numpy(array) for array in next_batch(loader, job))
        for number in range(2):
            recorder.restart()
            program.step(number, samples, labels)
    (role,) = capture(job, tiny, ranks=1).roles
    assert [named_kernel(event) for event in role.events] == [named_kernel(event) for event in recorder.events]
    (plain,) = capture(make_job(train={"global_batch": 6, "batch_per_rank": None}), tiny, ranks=1).roles
    assert [named_kernel(event) for event in role.events] != [named_kernel(event) for event in plain.events]


def named_kernel(event):
    return event.op, event.shapes


def test_batch_that_does_not_divide_is_refused(make_job, tiny):
    job = make_job(train={"global_batch": 100, "batch_per_rank": None})
    with pytest.raises(JobError, match="global_batch 100 does not divide into 64 data-parallel ranks"):
        capture(job, tiny, ranks=64)


def test_phases_are_told_apart(make_job, tiny):
    events = capture(make_job(), tiny, ranks=2).roles[0].events
    kernels = [event for event in events if isinstance(event, Kernel)]
    assert list(dict.fromkeys(kernel.phase for kernel in kernels)) == [
        "forward",
        "backward",
        "optimizer",
    ]


def test_any_plugins_network_is_captured(make_job):
    import torch

    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(1, 3)

        def forward(self, x):
            return self.head(x.mean(dim=(1, 2, 3))[:, None])

    workload = capture(make_job(), Model(name="mean", summary="", build=lambda _: Mean()), ranks=2)
    assert gradients(workload) == 4 * (3 + 3) + 2 * 8


@pytest.mark.parametrize(
    ("parallel", "ranks"),
    [
        ({"pipeline": 2, "microbatch": 1}, 4),
        ({"pipeline": 4, "microbatch": 1, "tensor": 2, "recompute": "full"}, 8),
        ({"pipeline": 4, "microbatch": 1, "recompute": [1]}, 4),
        ({"pipeline": 4, "microbatch": 1, "sequence": 2, "schedule": "zero-bubble"}, 8),
        ({"pipeline": 4, "microbatch": 1, "schedule": "interleaved", "virtual_stages": 2}, 4),
        ({"pipeline": 2, "microbatch": 1, "schedule": "interleaved", "virtual_stages": 2}, 2),
        ({"pipeline": 2, "microbatch": 1, "schedule": "zero-bubble", "zero": 1, "accumulate": 4}, 4),
        ({"microbatch": 1, "accumulate": 4, "precision": "pure_bfloat16"}, 2),
    ],
)
def test_step_put_together_from_parts_is_the_step(make_planned_model, parallel, ranks, monkeypatch):
    job = from_table(table_of("gpt", parallel))
    model = make_planned_model("gpt", 8)
    rehearsed = capture(job, model, ranks=ranks)

    monkeypatch.setattr("fujimi_train.capture._can_rehearse", lambda _: False)
    for found, expected in zip(rehearsed.roles, capture(job, model, ranks=ranks).roles, strict=True):
        assert found.events == expected.events
        assert found.memory.peak_bytes == pytest.approx(expected.memory.peak_bytes, rel=1e-3)
