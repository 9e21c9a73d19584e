"""Every field of a point by its definition, scaling, seeds, and sizes that are refused."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fujimi_core.device import Device
from fujimi_core.errors import JobError, MachineError, WorkloadError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job, Precision
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Memory, Role, Workload
from fujimi_sim.meetings import Seconds
from fujimi_sim.replay import Observer
from fujimi_sim.simulation import (
    Report,
    Setting,
    draw_slowness,
    precision_on,
    shortened,
    simulate,
    simulate_job,
    simulate_workload,
)
from fujimi_sim.steps import Step

SAMPLE_S = 0.01  # 8 GFLOP at 0.8 TFLOP/s
Captured = list[tuple[Job, int]]


def kernel(flops: float, dtype: str = "float32") -> Kernel:
    return Kernel(op="aten.mm", dtype=dtype, flops=int(flops), nbytes=0)


def stages(first: Kernel, last: Kernel, *, ranks: int = 4, memory: tuple[int, int] = (1, 2)) -> Workload:
    """Two roles, one rank against all others, that end with an all-reduce of 1 MB of all ranks together."""
    reduce = Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=10**6, axes=("dp",), dtype="float32", waits=(0,))
    roles = tuple(
        Role(name=name, where={"dp": where}, events=(own, reduce), memory=Memory(peak_bytes=peak))
        for name, where, own, peak in (
            ("first", (0, 1), first, memory[0]),
            ("last", (1, ranks), last, memory[1]),
        )
    )
    return Workload(job="hand-made", mesh=Mesh.of(dp=ranks), samples_per_step=12, roles=roles)


# the fields of a point


def test_fields_of_a_point_are_what_they_are_said_to_be(machine: Machine, plugins: Plugins) -> None:
    workload = stages(kernel(8e9), kernel(16e9), memory=(5 * 10**9, 3 * 10**9))
    point = simulate(workload, machine, 4, plugins=plugins)
    all_reduce_s = point.communication_s
    assert all_reduce_s > 1e6 / 1e9  # the buffer has to pass the interface at least once
    step_s = 0.02 + all_reduce_s
    flops_per_s = (8e9 + 3 * 16e9) / step_s
    table = {key: value for key, value in to_table(point).items() if "memory" not in key}
    parts = {part["name"]: (part["count"], part["seconds"]) for part in table.pop("breakdown")}
    assert parts == {"aten.mm": (1, pytest.approx(point.compute_s)), "all_reduce": (1, pytest.approx(all_reduce_s))}
    assert table == pytest.approx(
        {
            "nodes": 4,
            "ranks": 4,
            "step_s": step_s,
            "compute_s": (0.01 + 3 * 0.02) / 4,
            "communication_s": all_reduce_s,
            "exposed_communication_s": all_reduce_s,
            "idle_s": 0.01 / 4,
            "samples_per_s": 12 / step_s,
            "flops_per_s": flops_per_s,
            "fraction_of_peak": flops_per_s / 4e12,
            "parallel_efficiency": (0.01 + 3 * 0.02) / 4 / step_s,
        }
    )
    assert point.memory == Memory(peak_bytes=5 * 10**9)
    assert point.memory_bytes_per_rank == 5 * 10**9
    assert not point.memory_fits


def test_time_that_somebody_measured_is_taken_as_it_is(machine: Machine, plugins: Plugins) -> None:
    measured = Kernel(op="aten.mm", dtype="float32", flops=10**15, nbytes=10**15, seconds=0.25)
    role = Role(name="rank", events=(measured, replace(measured, seconds=0.5), replace(measured, seconds=0.0)))
    workload = Workload(job="traced", mesh=Mesh.of(dp=2), samples_per_step=1, roles=(role,))
    assert simulate(workload, machine, 2, plugins=plugins).step_s == 0.75


def test_every_size_may_be_watched(job: Job, machine: Machine, plugins: Plugins) -> None:
    seen: list[tuple[int, float]] = []

    def watch(setting: Setting) -> Observer | None:
        def observe(index: int, role: Role, step: Step, *, ready: Seconds, start: Seconds, end: Seconds) -> None:
            seen.append((setting.nodes, float(end.max())))

        return observe if setting.nodes > 1 else None

    report = simulate_job(job, machine, [4, 16], plugins=plugins, watch=watch)
    assert [nodes for nodes, _ in seen] == [4, 4, 16, 16], "a kernel and an all-reduce each"
    assert [end for _, end in seen[1::2]] == [point.step_s for point in report.points]


def test_shares_make_up_the_step(plugins: Plugins) -> None:
    noisy = plugins.machine("noisy")
    point = simulate(stages(kernel(8e9), kernel(16e9)), noisy, 4, plugins=plugins)
    assert point.compute_s + point.exposed_communication_s + point.idle_s == pytest.approx(point.step_s)


def test_peak_is_that_of_the_type_in_which_all_ranks_compute_most(machine: Machine, plugins: Plugins) -> None:
    point = simulate(stages(kernel(20e9), kernel(10e9, "float64")), machine, 4, plugins=plugins)
    assert point.fraction_of_peak == pytest.approx(point.flops_per_s / (4 * 5e11))


def test_step_without_arithmetic_reaches_nothing_of_any_peak(machine: Machine, plugins: Plugins) -> None:
    copy = Kernel(op="aten.copy_", dtype="int64", flops=0, nbytes=10**9)
    point = simulate(stages(copy, copy), machine, 4, plugins=plugins)
    assert (point.flops_per_s, point.fraction_of_peak) == (0, 0)
    assert point.compute_s == pytest.approx(1.0)


def test_efficiency_of_a_workload_does_not_count_the_noise_as_work(plugins: Plugins) -> None:
    quiet, noisy = (plugins.machine(name) for name in ("toy", "noisy"))
    workload = stages(kernel(8e12), kernel(8e12))
    assert simulate(workload, quiet, 4, plugins=plugins).parallel_efficiency == pytest.approx(1, abs=1e-3)
    slowest = draw_slowness(4, std=0.05, seed=0).max()
    point = simulate(workload, noisy, 4, plugins=plugins)
    assert point.parallel_efficiency == pytest.approx(1 / slowest, abs=1e-3)


def test_plugin_that_knows_better_tells_how_long_kernels_take_and_is_asked_once_for_each(
    machine: Machine, plugins: Plugins
) -> None:
    asked = []

    class Expert:
        @hookimpl
        def fujimi_kernel_seconds(self, kernel: Kernel, device: Device) -> float | None:
            asked.append(kernel)
            return 7.0 if kernel.dtype == "float64" else None

    plugins.register(Expert(), "expert")
    point = simulate(stages(kernel(8e9, "float64"), kernel(8e9)), machine, 4, plugins=plugins)
    assert point.compute_s == pytest.approx((7.0 + 3 * 0.01) / 4)
    simulate(stages(kernel(8e9), kernel(8e9)), machine, 4, plugins=plugins)
    assert len(asked) == 2 + 1


# scaling of a job


def test_one_node_has_an_efficiency_of_1(job: Job, machine: Machine, plugins: Plugins) -> None:
    (point,) = simulate_job(job, machine, [1], plugins=plugins).points
    assert point.step_s == pytest.approx(64 * SAMPLE_S)
    assert (point.parallel_efficiency, point.communication_s) == (1, 0)


def test_strong_scaling_divides_the_batch(job: Job, machine: Machine, plugins: Plugins) -> None:
    points = simulate_job(job, machine, [4, 64], plugins=plugins).points
    assert [point.nodes for point in points] == [4, 64]
    for point in points:
        step_s = 64 * SAMPLE_S / point.nodes + point.communication_s
        assert point.step_s == pytest.approx(step_s)
        assert point.samples_per_s == pytest.approx(64 / step_s)
        assert point.parallel_efficiency == pytest.approx(64 * SAMPLE_S / (point.nodes * step_s))
        assert point.memory_bytes_per_rank == 64 // point.nodes * 2**26


def test_weak_scaling_keeps_the_batch_of_a_rank(job: Job, machine: Machine, plugins: Plugins) -> None:
    points = simulate_job(job, machine, [16, 48], plugins=plugins, weak=True).points
    for point in points:
        step_s = 4 * SAMPLE_S + point.communication_s
        assert point.step_s == pytest.approx(step_s)
        assert point.samples_per_s == pytest.approx(4 * point.nodes / step_s)
        assert point.parallel_efficiency == pytest.approx(4 * SAMPLE_S / step_s)


def test_batch_per_rank_scales_weakly_by_itself(job: Job, machine: Machine, plugins: Plugins) -> None:
    job = job.with_batch_per_rank(4)
    one = simulate_job(job, machine, [16, 48], plugins=plugins)
    other = simulate_job(job, machine, [16, 48], plugins=plugins, weak=True)
    assert one.points == other.points


def test_node_of_several_devices_is_compared_with_one_such_node(job: Job, plugins: Plugins) -> None:
    quad = plugins.machine("quad")
    one, two = simulate_job(job, quad, [1, 2], plugins=plugins).points
    assert (one.ranks, two.ranks) == (4, 8)
    assert one.communication_s > 0
    assert one.parallel_efficiency == 1
    assert two.parallel_efficiency == pytest.approx(two.samples_per_s / (2 * one.samples_per_s))


def test_points_come_in_the_order_in_which_they_were_asked_for(job: Job, machine: Machine, plugins: Plugins) -> None:
    told: list[tuple[int, list[int]]] = []

    def tell(count: int, sizes: Sequence[int]) -> None:
        told.append((count, list(sizes)))

    report = simulate_job(job, machine, [16, 4], plugins=plugins, progress=tell)
    assert [point.nodes for point in report.points] == [16, 4]
    assert told == [(1, [1, 4, 16]), (4, [1, 4, 16]), (16, [1, 4, 16])]
    assert (report.machine, report.job) == ("toy", "tiny")


def test_job_is_captured_in_the_type_that_it_would_run_in(
    job: Job, machine: Machine, plugins: Plugins, capture: Any
) -> None:
    simulate_job(job, machine, [2], plugins=plugins)
    asked: Captured = capture.asked
    assert [(each.parallel.precision, ranks) for each, ranks in asked] == [
        (Precision.FLOAT32, 1),
        (Precision.FLOAT32, 2),
    ]


@pytest.mark.parametrize(
    ("asked", "peaks", "expected"),
    [
        (Precision.AUTO, {"float32": 1.0}, Precision.FLOAT32),
        (Precision.AUTO, {"float32": 1.0, "bfloat16": 2.0}, Precision.BFLOAT16),
        (Precision.FLOAT32, {"bfloat16": 2.0}, Precision.FLOAT32),
        (Precision.BFLOAT16, {"float32": 1.0}, Precision.BFLOAT16),
    ],
)
def test_auto_is_bfloat16_where_the_device_has_it(
    job: Job, machine: Machine, asked: Precision, peaks: dict[str, float], expected: Precision
) -> None:
    device = replace(machine.node.device, peak_flops_per_s=peaks)
    assert precision_on(job.with_precision(asked), device) is expected


# noise


def scaled(job: Job, plugins: Plugins, seed: int) -> Report:
    return simulate_job(job, plugins.machine("noisy"), [1, 16], plugins=plugins, seed=seed)


def test_same_seed_gives_the_same_report_but_for_its_cost(job: Job, plugins: Plugins) -> None:
    one, same = scaled(job, plugins, 3), scaled(job, plugins, 3)
    assert replace(one, simulation=same.simulation) == same


def test_other_seed_gives_another_report_but_the_same_node(job: Job, plugins: Plugins) -> None:
    one, other = scaled(job, plugins, 3), scaled(job, plugins, 4)
    assert one.points[1] != other.points[1]
    assert one.points[0] == other.points[0]


@pytest.mark.parametrize("std", [0.01, 0.3])
def test_slowness_has_a_mean_of_1_and_the_deviation_that_is_asked_for(std: float) -> None:
    slowness = draw_slowness(158_976, std=std, seed=0)
    assert slowness.mean() == pytest.approx(1, abs=1e-12)
    assert slowness.std() == pytest.approx(std, rel=0.01)
    assert slowness.min() > 0


@pytest.mark.parametrize(("ranks", "std"), [(1, 0.3), (5, 0.0)])
def test_one_rank_and_ranks_without_noise_have_average_speed(ranks: int, std: float) -> None:
    assert draw_slowness(ranks, std=std, seed=7).tolist() == [1] * ranks


def test_larger_job_has_the_nodes_of_a_smaller_one() -> None:
    small, large = (draw_slowness(ranks, std=0.1, seed=1) for ranks in (10, 1_000))
    np.testing.assert_allclose(small / small[0], large[:10] / large[0])


# what is refused


@pytest.mark.parametrize("nodes", [0, 65])
def test_machine_without_so_many_nodes_is_refused(job: Job, machine: Machine, plugins: Plugins, nodes: int) -> None:
    message = f"machine 'toy' has 64 nodes; {nodes} cannot be used: ask for 1 to 64"
    with pytest.raises(MachineError, match=message):
        simulate_job(job, machine, [1, nodes], plugins=plugins)
    with pytest.raises(MachineError, match=message):
        simulate_workload(stages(kernel(1), kernel(1)), machine, nodes, plugins=plugins)


def test_no_number_of_nodes_is_refused(job: Job, machine: Machine, plugins: Plugins) -> None:
    with pytest.raises(JobError, match="job 'tiny': give at least one number of nodes"):
        simulate_job(job, machine, [], plugins=plugins)


def test_batch_that_does_not_divide_is_refused_before_anything_is_captured(
    job: Job, machine: Machine, plugins: Plugins, capture: Any
) -> None:
    with pytest.raises(JobError, match="global_batch 64 does not divide into 48 data-parallel ranks"):
        simulate_job(job, machine, [1, 48], plugins=plugins)
    assert capture.asked == []


@pytest.mark.parametrize(
    ("ranks", "nodes", "name", "message"),
    [
        (
            4,
            8,
            "toy",
            "workload 'hand-made' has 4 ranks, but 8 nodes of 'toy' have 8 devices: "
            "use --nodes 4, or capture it with --ranks 8",
        ),
        (
            5,
            1,
            "quad",
            "workload 'hand-made' has 5 ranks, but 1 node of 'quad' has 4 devices: capture it with --ranks 4",
        ),
        (
            128,
            1,
            "toy",
            "workload 'hand-made' has 128 ranks, but 1 node of 'toy' has 1 device: capture it with --ranks 1",
        ),
    ],
)
def test_workload_of_another_size_is_refused_with_the_sizes_that_would_do(
    plugins: Plugins, ranks: int, nodes: int, name: str, message: str
) -> None:
    workload = stages(kernel(1), kernel(1), ranks=ranks)
    with pytest.raises(MachineError, match=f"^{re.escape(message)}$"):
        simulate_workload(workload, plugins.machine(name), nodes, plugins=plugins)


def test_workload_in_a_type_that_the_device_lacks_is_refused(machine: Machine, plugins: Plugins) -> None:
    with pytest.raises(MachineError, match=r"abacus has no peak for aten.mm: Unknown type: 'bfloat16'"):
        simulate(stages(kernel(1, "bfloat16"), kernel(1)), machine, 4, plugins=plugins)


def test_workload_that_takes_no_time_is_refused(machine: Machine, plugins: Plugins) -> None:
    workload = Workload(job="idle", mesh=Mesh.of(dp=1), samples_per_step=1, roles=(Role(name="r", events=()),))
    with pytest.raises(WorkloadError, match="workload 'idle' does nothing that takes time"):
        simulate(workload, machine, 1, plugins=plugins)


def test_report_of_a_workload_says_what_it_cost(machine: Machine, plugins: Plugins) -> None:
    report = simulate_workload(stages(kernel(8e9), kernel(8e9)), machine, 4, plugins=plugins)
    assert (report.machine, report.job, len(report.points)) == ("toy", "hand-made", 1)
    assert report.simulation.cpu_s > 0
    assert report.simulation.peak_rss_bytes > 10**7  # an interpreter with numpy takes that much


def test_speed_on_the_fewest_nodes_may_be_told_by_shorter_steps(machine: Machine, plugins: Plugins, job: Job) -> None:
    """The fake captures one kernel a sample: a step takes as long as it has samples."""
    many = replace(
        job,
        train=replace(job.train, global_batch=1024, batch_per_rank=None),
        parallel=replace(job.parallel, microbatch=1),
    )
    assert [short.batch_on(1) for short in shortened(many, 1)] == [4, 6]
    assert shortened(replace(many, train=replace(many.train, global_batch=64)), 1) == ()
    (told,) = simulate_job(many, machine, [16], plugins=plugins).points
    (_, whole) = simulate_job(many, machine, [1, 16], plugins=plugins).points
    assert told.parallel_efficiency == pytest.approx(whole.parallel_efficiency)
