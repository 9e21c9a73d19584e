"""A report in words."""

from dataclasses import replace

import pytest
from fujimi_core.machine import Machine
from fujimi_sim import summary
from fujimi_sim.breakdown import Part
from fujimi_sim.simulation import Cost, Point, Report

POINT = Point(
    nodes=1_024,
    ranks=4_096,
    step_s=2.0,
    compute_s=1.5,
    communication_s=0.4,
    exposed_communication_s=0.3,
    idle_s=0.2,
    samples_per_s=2_048.0,
    flops_per_s=1.5e15,
    fraction_of_peak=0.25,
    parallel_efficiency=0.5,
    memory_bytes_per_rank=2 * 10**9,
    memory_fits=True,
    breakdown=(),
)


def report(*points: Point) -> Report:
    return Report(machine="toy", job="tiny", points=points, simulation=Cost(cpu_s=8.25, peak_rss_bytes=350 * 10**6))


def test_row_has_a_cell_for_every_column() -> None:
    assert dict(zip(summary.HEADER, summary.row(POINT), strict=True)) == {
        "nodes": "1,024",
        "ranks": "4,096",
        "step": "2 s",
        "compute": "75.0%",
        "exposed comm.": "15.0%",
        "idle": "10.0%",
        "samples/s": "2,048",
        "FLOP/s": "1.5 PFLOP/s",
        "of peak": "25.0%",
        "efficiency": "50.0%",
        "memory/rank": "1.863 GiB",
    }


def test_rate_below_one_is_not_rounded_to_nothing() -> None:
    assert [summary.rate(rate) for rate in (0.004, 9.996, 41.26, 999.6)] == ["0.004", "10", "41.3", "1,000"]


def test_memory_that_fits_is_said_to_fit(machine: Machine) -> None:
    small = replace(POINT, memory_bytes_per_rank=2**30)
    assert summary.memory(report(small), machine) == "memory: 1 GiB a rank fits into the 1 GiB of abacus"
    assert summary.too_large(report(small)) == []


def test_workload_that_does_not_tell_its_memory_is_not_said_to_fit(machine: Machine) -> None:
    assert summary.memory(report(replace(POINT, memory_bytes_per_rank=0)), machine) == (
        "memory: the workload does not tell"
    )


@pytest.mark.parametrize(
    ("nodes", "where"),
    [([1], "1 node: "), ([64], "64 nodes: "), ([1, 64, 1_024], "1; 64; 1,024 nodes: on 1 node ")],
)
def test_memory_that_does_not_fit_is_said_loudly_and_where(machine: Machine, nodes: list[int], where: str) -> None:
    fits = replace(POINT, nodes=4_096, memory_bytes_per_rank=10**6)
    large = [replace(POINT, nodes=count, memory_fits=False, memory_shortage="2 of 1; try less") for count in nodes]
    assert summary.too_large(report(*large, fits)) == nodes
    assert summary.memory(report(*large, fits), machine) == f"memory: DOES NOT FIT on {where}2 of 1; try less"


def test_breakdown_lists_the_longest_parts_and_sums_up_what_takes_a_hundredth_of_the_step() -> None:
    reduce = Part(
        name="all_reduce",
        phase="backward",
        axes=("dp", "sp"),
        buffer_bytes=2_000_000,
        algorithm="ring",
        count=1.5,
        nbytes=3_000_000.0,
        seconds=0.4,
    )
    products, dust = operator("aten.mm", 1.5), [operator("aten.add", 0.012), operator("aten.mul", 0.008)]
    title, header, *rows = summary.breakdown(replace(POINT, breakdown=(products, reduce, *dust))).splitlines()
    assert title.startswith("1,024 nodes: where the step goes; ")
    assert [" ".join(line.split()) for line in (header, *rows)] == [
        "operator or collective phase count bytes time of step",
        "aten.mm forward 2 10 B 1.5 s 75.0%",
        "all_reduce of 2 MB along dp, sp by ring backward 1.5 3 MB 400 ms 20.0%",
        "2 others 4 20 B 20 ms 1.0%",
    ]


def operator(name: str, seconds: float) -> Part:
    return Part(name=name, phase="forward", count=2.0, nbytes=10.0, seconds=seconds)


def test_cost_is_that_of_the_simulation() -> None:
    assert summary.cost(report(POINT)) == "simulated in 8.2 CPU s, 350 MB"
