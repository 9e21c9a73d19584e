"""Numbers of the GPU machines against each other and against published totals."""

from dataclasses import replace

import pytest
from fujimi_core.machine import Machine
from fujimi_core.machine_file import UNVERIFIED
from fujimi_core.plan import plan_of
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind
from fujimi_gpu import plugin
from fujimi_gpu.plugin import fujimi_choose_collective
from fujimi_gpu.published_runs import published_runs

PETA = 1e15
MACHINES = {machine.name: machine for machine in plugin.fujimi_machines()}
(MEGATRON,) = [table for table in published_runs() if table.name == "megatron"]
every_machine = pytest.mark.parametrize("machine", MACHINES.values(), ids=list(MACHINES))


def peak(name: str, dtype: str) -> float:
    machine = MACHINES[name]
    return machine.ranks * machine.node.device.peak_flops_per_s[dtype]


@pytest.mark.parametrize(
    ("name", "nodes", "gpus"),
    [
        ("abci3", 766, 6_128),  # users guide of ABCI 3.0
        ("abci2-a", 120, 960),  # users guide of ABCI 2.0
        ("abci2-v", 1_088, 4_352),
        ("tsubame3", 540, 2_160),  # Matsuoka et al., 2017
        ("tsubame4", 240, 960),
        ("summit", 4_608, 27_648),  # OLCF, hands-on with Summit
        ("frontier", 9_856, 78_848),  # OLCF, Frontier User Guide: dies
        ("aurora", 10_624, 127_488),  # ALCF, Aurora user guide: 63,744 GPUs of 2 tiles
    ],
)
def test_nodes_and_gpus_are_those_of_the_documents(name: str, nodes: int, gpus: int) -> None:
    assert (MACHINES[name].nodes, MACHINES[name].ranks) == (nodes, gpus)


# Published totals count the processors too, which add some percent; Fujimi's machines have the GPUs only.
@pytest.mark.parametrize(
    ("name", "dtype", "published", "rel"),
    [
        ("abci3", "float16", 6_220 * PETA, 0.03),  # Takano et al., 2024, abstract: half precision
        ("abci2-a", "float16", 300.8 * PETA, 0.01),  # users guide of ABCI 2.0
        ("abci2-v", "float64", 37.2 * PETA, 0.10),
        ("abci2-v", "float32", 75.0 * PETA, 0.10),
        ("abci2-v", "float16", 550.6 * PETA, 0.02),
        ("tsubame3", "float64", 12.15 * PETA, 0.07),  # Matsuoka et al., 2017
        ("tsubame3", "float16", 47.2 * PETA, 0.04),
        # Frontier User Guide: 47.8 TFLOP/s of an MI250X's vector units, matrix cores have twice that (AMD)
        ("frontier", "float64", 2 * 4 * 9_856 * 47.9e12, 1e-3),
    ],
)
def test_gpus_together_reach_the_published_peak(name: str, dtype: str, published: float, rel: float) -> None:
    assert peak(name, dtype) <= published
    assert peak(name, dtype) == pytest.approx(published, rel=rel)


def test_summit_has_the_mixed_precision_in_excess_of_3_exaflops() -> None:
    assert 3e18 < peak("summit", "float16") < 4e18  # OLCF, Summit User Guide, system overview


def test_a_die_of_mi250x_does_what_its_compute_units_do_at_their_clock() -> None:
    peaks = MACHINES["frontier"].node.device.peak_flops_per_s
    a_clock = {"float64": 256, "float32": 256, "float16": 1_024, "bfloat16": 1_024}
    assert peaks == pytest.approx({dtype: 110 * 1.7e9 * flops for dtype, flops in a_clock.items()}, rel=1e-3)


def test_a_tile_of_aurora_reaches_what_was_measured_in_large_products_and_triads() -> None:
    device = MACHINES["aurora"].node.device  # ALCF, node performance overview: 256 TFLOP/s and 1 TB/s
    assert device.gemm_efficiency * device.peak_flops_per_s["bfloat16"] == pytest.approx(256e12, rel=5e-3)
    assert device.memory_efficiency * device.memory_bandwidth_bytes_per_s == pytest.approx(1e12, rel=5e-3)


def test_v100_is_the_same_device_on_every_machine() -> None:
    of_summit, of_abci = (MACHINES[name].node.device for name in ("summit", "abci2-v"))
    link = of_abci.outside_bandwidth_bytes_per_s  # NVLink to POWER9, PCIe to Xeon
    assert replace(of_summit, outside_bandwidth_bytes_per_s=link) == of_abci


def test_groups_of_a_dragonfly_hold_a_cabinet_and_link_each_two_of_their_switches() -> None:
    for name, cabinet in {"frontier": 128, "aurora": 64}.items():
        machine = MACHINES[name]
        groups = machine.network.groups
        assert groups is not None
        assert groups.switches * groups.nodes == cabinet
        joined = machine.node.interfaces  # real switches in one: 16 endpoints each, as many nodes
        assert groups.switches * joined == 32
        assert groups.local_links == joined**2


def test_tsubame4_computes_in_half_precision_about_20_times_as_fast_as_tsubame3() -> None:
    ratio = peak("tsubame4", "float16") / peak("tsubame3", "float16")
    assert ratio == pytest.approx(20, rel=0.05)  # Endo and Nomura, MONOist, 2024-09, figure 3


def test_full_bisection_of_tsubame3_carries_the_published_432_terabits() -> None:
    node = MACHINES["tsubame3"].node
    both_directions = 2 * 540 * node.interfaces * node.interface_bandwidth_bytes_per_s * 8
    assert both_directions == pytest.approx(432e12)  # Tokyo Tech, 2017-02-17


def test_float32_is_the_cuda_cores_not_tf32_of_the_tensor_cores() -> None:
    tf32 = {"abci2-a": 156e12, "abci3": 494.7e12, "tsubame4": 494.7e12}
    for name, speed in tf32.items():
        assert MACHINES[name].node.device.peak_flops_per_s["float32"] < speed / 5


def test_bfloat16_came_with_the_a100() -> None:
    with_it = {name for name, machine in MACHINES.items() if "bfloat16" in machine.node.device.peak_flops_per_s}
    assert set(MACHINES) - with_it == {"abci2-v", "summit", "tsubame3"}


@every_machine
def test_machine_is_a_network_of_nodes_with_a_faster_one_inside(machine: Machine) -> None:
    node = machine.node
    assert machine.network.topology == ("dragonfly" if machine.name in ("frontier", "aurora") else "nonblocking")
    assert machine.network.link_bandwidth_bytes_per_s == node.interface_bandwidth_bytes_per_s
    assert node.injection_bandwidth_bytes_per_s <= node.interfaces * node.interface_bandwidth_bytes_per_s
    assert node.peer_bandwidth_bytes_per_s is not None
    assert node.peer_bandwidth_bytes_per_s > node.injection_bandwidth_bytes_per_s / node.devices


@every_machine
def test_numbers_without_a_document_are_marked(machine: Machine) -> None:
    unverified = {key for key, source in machine.sources.items() if source.startswith(UNVERIFIED)}
    assert {"network.hop_latency_s", "noise.compute_std"} <= unverified
    assert "nodes" not in unverified
    of_the_machine = [key for key in machine.sources if not key.startswith("reliability.")]
    assert len(unverified.intersection(of_the_machine)) <= len(of_the_machine) / 2


def test_rates_of_failure_are_of_other_machines_and_say_so() -> None:
    told = {name: machine for name, machine in MACHINES.items() if machine.reliability is not None}
    assert set(told) == {"abci2-a", "abci3", "abci", "tsubame4", "tsubame"}
    for machine in told.values():
        assert machine.sources["reliability.node_mtbf_s"].startswith("unverified: of another machine")
    bloom, llama = told["abci2-a"].reliability, told["tsubame4"].reliability
    assert bloom is not None
    assert llama is not None
    assert 48 / bloom.node_mtbf_s == pytest.approx(1 / (7 * 86_400))  # 384 A100 in 48 nodes, one lost a week
    assert 16_384 / 4 / llama.node_mtbf_s == pytest.approx(419 / (54 * 86_400), rel=1e-4)


@pytest.mark.parametrize(("plain", "newest"), [("abci", "abci3"), ("tsubame", "tsubame4")])
def test_plain_name_is_the_newest_generation(plain: str, newest: str) -> None:
    plugins = Plugins.installed(strict=True)
    found = plugins.machine(plain)
    assert found.name == plain
    assert found.node == plugins.machine(newest).node
    assert [info.problem for info in plugins.infos() if info.name == "gpu"] == [""]


def test_published_runs_are_jobs_on_machines_that_are_offered() -> None:
    for table in published_runs():
        rows = table.runs()
        assert len(rows) > 5
        for run in rows:
            machine = MACHINES[run.machine]
            assert run.nodes <= machine.nodes
            plan_of(run.job, run.nodes * (run.devices or machine.node.devices))


def test_time_of_a_step_follows_from_operations_that_count_recomputation() -> None:
    (run,) = [run for run in MEGATRON.runs() if "1.7B" in run.name]
    flops = 96 * 512 * 2048 * 24 * 2304**2 * (1 + 2048 / (6 * 2304) + 50_304 / (16 * 24 * 2304))
    assert run.step_s == pytest.approx(flops / (137e12 * 32))


def test_nccl_uses_all_interfaces_of_a_node_beyond_it() -> None:
    reduce = Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=2**30, axes=("dp",), dtype="float32")
    names = ("hierarchical", "rabenseifner", "ring")
    chosen = [fujimi_choose_collective(reduce, members, MACHINES["selene"], names) for members in (8, 64)]
    assert chosen == ["ring", "hierarchical"]
    assert fujimi_choose_collective(reduce, 8, MACHINES["abci3"], names) is None
