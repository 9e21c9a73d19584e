import math
import tomllib
from dataclasses import replace

import numpy as np
import pytest
from fujimi_core import machine_file
from fujimi_core.errors import MachineError
from fujimi_core.machine import Regime, Transport
from fujimi_core.measurements import Measurement
from fujimi_sim.network import fitting
from fujimi_sim.network.comparison import compare
from fujimi_sim.network.fitting import fit, free_parameters, log_errors, with_parameters
from fujimi_sim.network.fitting_text import fitted_toml

TRUE = {
    "send": Transport(
        regimes=(Regime(latency_s=1e-6, up_to_bytes=128), Regime(latency_s=4e-6, copy_bytes_per_s=5e9)),
    ),
    "mpi": Transport(
        regimes=(Regime(latency_s=2e-6),),
        operation_s=8e-7,
        call_s=3e-6,
        addition_bytes_per_s=8e9,
        copy_bytes_per_s=12e9,
        fresh_bytes=1 << 20,
        plan_s=5e-6,
        block_s=4e-8,
    ),
}
SIZES = [8, 64, 1024, 16_384, 262_144, 4 << 20, 64 << 20]
ALGORITHMS = [
    ("all_reduce", "ring"),
    ("all_reduce", "recursive_doubling"),
    ("all_gather", "ring"),
    ("all_gather", "bruck"),
    ("gather", "linear"),
    ("all_to_all", "bruck"),
    ("all_to_all", "pairwise"),
    ("send", ""),
]


@pytest.fixture
def true(machine_of):
    """A machine whose links are faster than what its transports do."""
    return machine_of(8, link=50e9, transports=TRUE)


@pytest.fixture
def measured(true, plugins):
    """Measurements that the machine with the true parameters would give."""

    def rows(*, algorithms=ALGORITHMS, sizes=SIZES):
        asked = [
            Measurement(collective=kind, nodes=nodes, nbytes=nbytes, algorithm=name, reported=name, seconds=1.0)
            for kind, name in algorithms
            for nodes in ((2,) if kind == "send" else (2, 8))
            for nbytes in sizes
        ]
        return [replace(each.measured, seconds=each.seconds) for each in compare(asked, true, plugins=plugins)[0]]

    return rows


@pytest.fixture
def compared(measured, plugins):
    """The same beside what they cost on a machine with other parameters."""

    def rows(machine, **which):
        return compare(measured(**which), machine, plugins=plugins)[0]

    return rows


def wrong(machine, *, seed, factor=1.5):
    """Every parameter off by up to a factor, up or down."""
    random = np.random.default_rng(seed)
    return with_parameters(
        machine,
        {place: value * factor ** random.uniform(-1, 1) for place, value in free_parameters(machine).items()},
    )


def test_times_and_rates_that_are_given_are_free_and_thresholds_are_not(true):
    assert free_parameters(true) == {
        ("send", 0, "latency_s"): 1e-6,
        ("send", 1, "latency_s"): 4e-6,
        ("send", 1, "copy_bytes_per_s"): 5e9,
        ("mpi", 0, "latency_s"): 2e-6,
        ("mpi", None, "operation_s"): 8e-7,
        ("mpi", None, "call_s"): 3e-6,
        ("mpi", None, "addition_bytes_per_s"): 8e9,
        ("mpi", None, "copy_bytes_per_s"): 12e9,
        ("mpi", None, "plan_s"): 5e-6,
        ("mpi", None, "block_s"): 4e-8,
    }


def test_other_values_change_their_parameters_and_nothing_else(true):
    changed = with_parameters(true, {("send", 1, "latency_s"): 7e-6, ("mpi", None, "call_s"): 9e-6})
    expected = free_parameters(true) | {("send", 1, "latency_s"): 7e-6, ("mpi", None, "call_s"): 9e-6}
    assert free_parameters(changed) == expected
    assert changed.network.transports["mpi"].fresh_bytes == 1 << 20
    assert changed.network.transports["send"].regimes[0] == TRUE["send"].regimes[0]
    assert with_parameters(true, {}) == true


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parameters_are_found_again_in_what_they_made(true, compared, monkeypatch, seed):
    monkeypatch.setattr(fitting, "HOLD", 0.0)
    start = wrong(true, seed=seed)
    found = fit(compared(start), start)
    assert found.after == {place: pytest.approx(value, rel=0.02) for place, value in free_parameters(true).items()}
    assert found.before == free_parameters(start)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_parameters_that_hold_on_to_their_beginnings_come_most_of_the_way(true, compared, seed):
    start = wrong(true, seed=seed)
    rows = compared(start)
    found = fit(rows, start)
    before, after = (np.abs(log_errors(rows, machine)).mean() for machine in (start, found.machine))
    assert after < before / 3
    # Two rows depend on this one, and four hold it where it was.
    place = ("send", 0, "latency_s")
    low, high = sorted([found.before[place], 1e-6])
    assert 0.995 * low < found.after[place] < 1.005 * high  # three digits


def test_right_parameters_stay_but_for_rounding(true, compared):
    found = fit(compared(true), true)
    assert found.after == {place: pytest.approx(value, rel=5e-3) for place, value in free_parameters(true).items()}
    assert found.without_effect == ()


def test_a_few_rows_that_are_far_off_bend_the_others_little(true, compared):
    rows = compared(true)
    spoilt = [
        replace(row, measured=replace(row.measured, seconds=10 * row.measured.seconds)) if number % 15 == 0 else row
        for number, row in enumerate(rows)
    ]
    found = fit(spoilt, true)
    good = [row for number, row in enumerate(rows) if number % 15]
    assert np.abs(log_errors(good, found.machine)).mean() < 0.1


def test_values_are_rounded_to_three_digits(true, compared):
    found = fit(compared(wrong(true, seed=3)), wrong(true, seed=3))
    assert all(float(f"{value:.3g}") == value for value in found.after.values())
    assert free_parameters(found.machine) == found.after


def test_parameters_without_effect_keep_their_values_and_are_named(true, compared):
    start = wrong(true, seed=0)
    found = fit(compared(start, algorithms=[("send", "")], sizes=[8]), start)
    assert list(found.after) == [("send", 0, "latency_s")]
    others = {place: value for place, value in free_parameters(start).items() if place not in found.after}
    assert set(found.without_effect) == set(others)
    assert {place: free_parameters(found.machine)[place] for place in others} == others
    assert "# mpi.operation_s: kept, no measurement depends on it" in fitted_toml(found)
    assert "# send.regimes[1].latency_s: kept, no measurement depends on it" in fitted_toml(found)


def test_rows_cost_what_they_cost_on_the_fitted_machine(true, compared, plugins):
    start = wrong(true, seed=1)
    found = fit(compared(start), start)
    again, _ = compare([row.measured for row in found.rows], found.machine, plugins=plugins)
    assert [row.seconds for row in found.rows] == pytest.approx([row.seconds for row in again])


def test_logarithmic_errors_are_of_simulated_over_measured(true, compared):
    rows = [replace(row, measured=replace(row.measured, seconds=2 * row.seconds)) for row in compared(true)]
    assert log_errors(rows, true) == pytest.approx(-math.log(2))


def test_ranks_of_a_node_are_fitted_with_their_part_of_the_memory(true, plugins):
    asked = [
        Measurement(collective="all_reduce", nodes=4, ranks_per_node=4, nbytes=n, algorithm="ring", seconds=1)
        for n in SIZES
    ]
    costs = compare(asked, true, plugins=plugins)[0]
    rows = [replace(row, measured=replace(row.measured, seconds=row.seconds)) for row in costs]
    assert log_errors(rows, true) == pytest.approx(0, abs=1e-12)


def test_machines_without_transports_cannot_be_fitted(machine_of, compared):
    machine = machine_of(8)
    with pytest.raises(MachineError, match=r"'test' has no parameters to fit: its file must have network\.transports"):
        fit(compared(machine), machine)


def test_without_rows_there_is_nothing_to_fit_to(true):
    with pytest.raises(MachineError, match="no measurement is left to fit machine 'test' to"):
        fit([], true)


# as text


MACHINE_FILE = """
name = "made"
title = "Made of a fit"
nodes = { value = 8, source = "a test" }

[node]
source = "a test"
[node.value]
devices = 1
interfaces = 6
interface_bandwidth_bytes_per_s = "100 GB/s"
injection_bandwidth_bytes_per_s = "600 GB/s"
[node.value.device]
name = "test device"
memory_bytes = "32 GB"
memory_bandwidth_bytes_per_s = "1 TB/s"
memory_efficiency = 0.75
peak_flops_per_s = { float32 = "1 TFLOP/s" }
gemm_efficiency = 0.8
gemm_half_extent = 100
kernel_overhead_s = "0 s"

[network]
topology = "torus"
link_bandwidth_bytes_per_s = { value = "50 GB/s", source = "a test" }
hop_latency_s = { value = "0.1 us", source = "a test" }
message_latency_s = { value = "1 us", source = "a test" }

[network.axes]
source = "a test"
value = [{ name = "x", extent = 8, wrap = true }]

"""


@pytest.fixture
def found(true, compared):
    start = wrong(true, seed=2)
    return fit(compared(start), start)


def test_the_text_is_a_section_of_a_machine_file_with_the_same_transports(found, tmp_path):
    path = tmp_path / "made.toml"
    path.write_text(MACHINE_FILE + fitted_toml(found) + "\n", encoding="utf-8")
    loaded = machine_file.load(path)
    assert set(loaded.network.transports) == set(found.machine.network.transports)
    assert free_parameters(loaded) == {
        place: pytest.approx(value, rel=1e-9) for place, value in free_parameters(found.machine).items()
    }
    assert loaded.network.transports["send"].regimes[0].up_to_bytes == 128
    assert loaded.network.transports["mpi"].fresh_bytes == 1 << 20
    assert loaded.network.transports["mpi"].team_bytes is None
    assert "fitted by `fujimi network fit test` to 105 measurements" in loaded.sources.values()


def test_the_text_tells_what_was_before_and_how_far_off_it_is_now(found):
    shown = fitted_toml(found)
    section = tomllib.loads(shown)["network"]["transports"]
    assert set(section) == {"source", "value"}
    first = shown.splitlines()[0]
    assert first.startswith("# all: 105 rows, mean absolute error ")
    assert "# send: 7 rows, " in shown
    assert "# all_reduce: 28 rows, " in shown
    changed = [place for place in found.after if found.after[place] != found.before[place]]
    assert shown.count(" was ") == len(changed)


def test_what_a_file_need_not_give_is_not_in_the_text(found):
    section = tomllib.loads(fitted_toml(found))["network"]["transports"]["value"]
    assert set(section["send"]) == {"regimes"}
    assert [set(regime) for regime in section["send"]["regimes"]] == [
        {"latency_s", "up_to_bytes"},
        {"latency_s", "copy_bytes_per_s"},
    ]
