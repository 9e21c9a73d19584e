"""Fugaku's numbers against each other and against what is printed about the machine."""

import math

import pytest
from fujimi_a64fx import plugin
from fujimi_core.machine import Machine
from fujimi_core.machine_file import UNVERIFIED
from fujimi_core.plugins import Plugins


@pytest.fixture(scope="module")
def fugaku() -> Machine:
    return plugin.fujimi_machines()[0]


@pytest.fixture(scope="module")
def four_ranks() -> Machine:
    return plugin.fujimi_machines()[1]


def test_axes_multiply_to_the_158976_nodes(fugaku: Machine) -> None:
    extents = {axis.name: axis.extent for axis in fugaku.network.axes}
    assert extents == {"X": 24, "Y": 23, "Z": 24, "a": 2, "b": 3, "c": 2}
    assert math.prod(extents.values()) == fugaku.nodes == 396 * 384 + 36 * 192 == 158_976


def test_all_axes_wrap_but_a_and_c(fugaku: Machine) -> None:
    assert {axis.name for axis in fugaku.network.axes if not axis.wrap} == {"a", "c"}


def test_a_unit_is_the_12_nodes_of_a_b_and_c(fugaku: Machine) -> None:
    unit = [axis for axis in fugaku.network.axes if axis.unit]
    assert [axis.name for axis in unit] == ["a", "b", "c"]
    assert math.prod(axis.extent for axis in unit) == 12


@pytest.mark.parametrize(("dtype", "bits"), [("float64", 64), ("float32", 32), ("float16", 16)])
def test_peak_is_two_512_bit_fma_pipes_on_48_cores_at_2_2_ghz(fugaku: Machine, dtype: str, bits: int) -> None:
    flops_a_cycle = 2 * 2 * 512 // bits
    assert fugaku.node.device.peak_flops_per_s[dtype] == pytest.approx(48 * flops_a_cycle * 2.2e9)


def test_all_nodes_together_have_the_peak_of_which_hpl_reached_82_3_percent(fugaku: Machine) -> None:
    peak = fugaku.ranks * fugaku.node.device.peak_flops_per_s["float64"]
    assert 442.01e15 / peak == pytest.approx(0.823, abs=5e-4)  # Fujitsu and RIKEN, HPL, 2020-11


def test_there_is_no_bfloat16_on_a64fx(fugaku: Machine) -> None:
    assert set(fugaku.node.device.peak_flops_per_s) == {"float64", "float32", "float16"}


def test_a_message_between_neighbours_takes_what_ping_pong_measured(fugaku: Machine) -> None:
    assert fugaku.network.message_latency_s + fugaku.network.hop_latency_s == pytest.approx(1.05e-6)


def test_a_node_injects_what_its_six_interfaces_do_with_the_published_efficiency(fugaku: Machine) -> None:
    node = fugaku.node
    assert node.injection_bandwidth_bytes_per_s == pytest.approx(6 * 6.8e9 * 0.93, rel=0.01)
    assert node.interfaces * node.interface_bandwidth_bytes_per_s == pytest.approx(6 * 6.8e9 * 0.93)


def test_matrix_products_reach_what_the_better_library_was_measured_to_reach(fugaku: Machine) -> None:
    device = fugaku.node.device
    measured = {720: 0.47, 1080: 0.58, 1800: 0.66, 3600: 0.81, 6840: 0.88}  # BLIS, docs/graphs: 48 cores, SGEMM
    for extent, share in measured.items():
        predicted = device.gemm_efficiency * extent / (extent + device.gemm_half_extent)
        assert predicted == pytest.approx(share, rel=0.07)


def test_only_what_has_no_document_is_marked_unverified(fugaku: Machine) -> None:
    unverified = {key for key, source in fugaku.sources.items() if source.startswith(UNVERIFIED)}
    assert unverified == {
        "network.hop_latency_s",
        "node.device.kernel_overhead_s",
        "node.device.memory_efficiency",
        "power.idle_w",
        "reliability.weibull_shape",
    }


def test_storage_power_and_failures_are_described(fugaku: Machine) -> None:
    assert fugaku.storage is not None
    assert fugaku.nodes / fugaku.storage.nodes_per_io_node == 9_936  # Performance of File System, p. 6
    assert fugaku.reliability is not None
    instances_node_s = 82_944 * 7.7 * 3600  # CosmoFlow of MLPerf HPC v1.0, of which one of 648 instances hung
    assert fugaku.reliability.node_mtbf_s == pytest.approx(instances_node_s, rel=1e-5)
    poisson_95 = [instances_node_s / most for most in (5.572, 0.0253)]  # exact interval of a count of 1
    k_computer_s = 365.25 / 12 * 86_400 / 4e-5  # 0.004 % of processors a month
    assert poisson_95[0] < k_computer_s < poisson_95[1]


def test_power_states_are_two_clocks_and_one_or_two_pipelines(fugaku: Machine) -> None:
    assert fugaku.power is not None
    arithmetic = {state.name: state.arithmetic for state in fugaku.power.states}
    expected = {"normal": 2.0 / 2.2, "boost": 1.0, "eco": 2.0 / 2.2 / 2, "boost eco": 0.5}
    assert arithmetic == pytest.approx(expected, rel=1e-3)
    watts = {state.name: state.busy_w for state in fugaku.power.states}
    # the same graph, p. 9: 44.5 s and 2.1 Wh a node in normal mode, 40 s and 1.75 Wh in boost eco
    assert watts["normal"] * 44.5 / 3600 == pytest.approx(2.1, rel=0.03)
    assert watts["boost eco"] * 40 / 3600 == pytest.approx(1.75, rel=0.03)


def test_four_core_memory_groups_together_are_the_node(fugaku: Machine, four_ranks: Machine) -> None:
    whole, group = fugaku.node.device, four_ranks.node.device
    assert four_ranks.node.devices == 4
    assert 4 * group.memory_bytes == whole.memory_bytes
    assert 4 * group.memory_bandwidth_bytes_per_s == whole.memory_bandwidth_bytes_per_s
    assert 4 * group.instructions_per_s == whole.instructions_per_s
    assert 4 * group.outside_bandwidth_bytes_per_s == pytest.approx(whole.outside_bandwidth_bytes_per_s, rel=1e-2)
    assert {dtype: 4 * peak for dtype, peak in group.peak_flops_per_s.items()} == pytest.approx(whole.peak_flops_per_s)


def test_products_on_twelve_cores_reach_what_the_better_library_was_measured_to_reach(four_ranks: Machine) -> None:
    device = four_ranks.node.device
    measured = {480: 0.61, 1200: 0.83, 2400: 0.90, 4560: 0.92}  # BLIS, docs/graphs: 12 cores, SGEMM, SSL2
    for extent, share in measured.items():
        predicted = device.gemm_efficiency * extent / (extent + device.gemm_half_extent)
        assert predicted == pytest.approx(share, rel=0.05)


def test_all_else_of_four_ranks_a_node_is_as_with_one(fugaku: Machine, four_ranks: Machine) -> None:
    assert four_ranks.network == fugaku.network
    assert (four_ranks.storage, four_ranks.power) == (fugaku.storage, fugaku.power)
    assert four_ranks.sources["network.hop_latency_s"] == fugaku.sources["network.hop_latency_s"]


def test_fugaku_is_found_by_its_name_among_installed_plugins() -> None:
    plugins = Plugins.installed(strict=True)
    assert plugins.machine("fugaku").nodes == 158_976
    assert [info.problem for info in plugins.infos() if info.name == "a64fx"] == [""]
