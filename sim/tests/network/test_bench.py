import math

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.network import Phase
from fujimi_sim.network.bench import OPERATIONS, Bench, bus_factor, busy_s, part_of, with_ranks_per_node
from fujimi_sim.network.timing import phases_cost

LINK, MESSAGE_S, HOP_S = 1e9, 1e-6, 1e-7
ADDS_BYTES_PER_S = 1e12 * 0.75 / 3


@pytest.fixture
def bench_of(machine_of, plugins):
    """On a torus or part of one."""

    def bench(*extents, nodes=None, shape=None, ranks_per_node=1, **fields):
        machine = with_ranks_per_node(machine_of(*extents, **fields), ranks_per_node)
        return Bench(machine, part_of(machine, nodes=nodes, shape=shape, plugins=plugins), plugins=plugins)

    return bench


def test_ring_all_reduce_takes_what_its_formula_says(bench_of):
    found = bench_of(4).run("all_reduce", 4_000_000, algorithm="ring")
    step_s = MESSAGE_S + HOP_S + 1_000_000 / LINK
    assert found.seconds == pytest.approx(6 * step_s + 3 * 1_000_000 / ADDS_BYTES_PER_S)
    assert found.algorithm_bandwidth_bytes_per_s == pytest.approx(4_000_000 / found.seconds)
    assert found.bus_bandwidth_bytes_per_s == pytest.approx(1.5 * 4_000_000 / found.seconds)
    assert (found.nodes, found.ranks, found.nbytes, found.chosen) == (4, 4, 4_000_000, None)
    assert (found.collective, found.algorithm, found.bottleneck) == ("all_reduce", "ring", "link +x")
    assert found.bottleneck_share == pytest.approx(6e-3 / found.seconds)


@pytest.mark.parametrize("nbytes", [32, 10**9])
def test_limit_of_a_ring_is_where_the_bus_bandwidth_is_that_of_a_link(bench_of, nbytes):
    found = bench_of(8).run("all_reduce", nbytes, algorithm="ring")
    assert found.limit_bandwidth_bytes_per_s * bus_factor("all_reduce", 8) == pytest.approx(LINK)


def test_limit_of_a_pipeline_has_neither_its_filling_nor_its_latency(bench_of):
    bench = bench_of(4)
    phase = Phase(src=bench.part.nodes[:1], dst=bench.part.nodes[1:2], segment_bytes=10, stages=7, repeats=2)
    cost = phases_cost([phase], bench.part)
    assert busy_s(cost, 1e6) == pytest.approx(2 * 1e6 / LINK)
    assert cost.seconds(1e6) > 2 * 1e6 / LINK


def test_a_send_takes_latency_and_bytes_over_bandwidth_one_way(bench_of):
    found = bench_of(4, 4).run("send", 1_000_000)
    assert found.seconds == pytest.approx(MESSAGE_S + HOP_S + 1e6 / LINK)
    assert found.limit_bandwidth_bytes_per_s == pytest.approx(LINK)
    assert found.bus_bandwidth_bytes_per_s == found.algorithm_bandwidth_bytes_per_s
    assert found.algorithm == "send"


def test_a_barrier_has_no_bandwidth(bench_of):
    found = bench_of(4).run("barrier", 0)
    assert found.seconds >= 2 * (MESSAGE_S + HOP_S)
    assert found.bottleneck == "latency"
    assert found.algorithm_bandwidth_bytes_per_s is None
    assert found.bus_bandwidth_bytes_per_s is None
    assert found.limit_bandwidth_bytes_per_s is None


def test_bus_factors_are_those_of_nccl_tests():
    expected = {
        "all_reduce": 2 * 7 / 8,
        **dict.fromkeys(["all_gather", "reduce_scatter", "all_to_all", "gather", "scatter"], 7 / 8),
        **dict.fromkeys(["broadcast", "reduce", "send"], 1.0),
        "barrier": None,
    }
    assert {name: bus_factor(name, 8) for name in OPERATIONS} == expected


@pytest.mark.parametrize("operation", [name for name in OPERATIONS if name != "barrier"])
def test_nothing_is_faster_than_the_limit_of_its_algorithm(bench_of, operation):
    bench = bench_of(4, 4)
    for found in bench.run_all(operation, 1 << 20):
        assert 0 < found.seconds < math.inf
        assert found.algorithm_bandwidth_bytes_per_s < found.limit_bandwidth_bytes_per_s, found.algorithm
        assert 0 < found.bottleneck_share <= 1


def test_all_algorithms_that_can_serve_come_fastest_first_with_the_chosen_one_marked(bench_of):
    bench = bench_of(4, 4)
    found = bench.run_all("all_reduce", 10**6)
    assert [each.seconds for each in found] == sorted(each.seconds for each in found)
    assert {"ring", "bucket", "recursive_doubling"} <= {each.algorithm for each in found}
    (chosen,) = [each for each in found if each.chosen]
    assert chosen == bench.run("all_reduce", 10**6)
    named = bench.run("all_reduce", 10**6, algorithm=chosen.algorithm)
    assert named.seconds == chosen.seconds


def test_ranks_of_a_node_reach_each_other_through_their_part_of_the_memory(bench_of, machine_of):
    machine = with_ranks_per_node(machine_of(4), 4)
    assert (machine.node.devices, machine.ranks) == (4, 16)
    assert machine.node.device.memory_bandwidth_bytes_per_s == 1e12 / 4
    assert machine.node.peer_bandwidth_bytes_per_s == 1e12 / 4 * 0.75 / 2
    found = bench_of(4, ranks_per_node=4).run("send", 10**9)
    assert found.ranks == 16
    assert found.bottleneck == "peer"
    assert found.limit_bandwidth_bytes_per_s == pytest.approx(1e12 / 4 * 0.75 / 2)


@pytest.mark.parametrize(
    ("operation", "algorithm", "message"),
    [
        ("all_reduc", None, "Unknown collective: 'all_reduc'.*Did you mean 'all_reduce'"),
        ("all_reduce", "rings", "Unknown algorithm for all_reduce: 'rings'.*Did you mean 'ring'"),
        (
            "all_reduce",
            "multiport_bucket",
            "'multiport_bucket' cannot run all_reduce in groups of 7.*these can: .*r",
        ),
        ("send", "ring", "Unknown algorithm for send: 'ring'"),
    ],
)
def test_what_cannot_run_is_refused(bench_of, operation, algorithm, message):
    with pytest.raises(MachineError, match=message):
        bench_of(7).run(operation, 32, algorithm=algorithm)


@pytest.mark.parametrize("operation", ["all_reduce", "barrier", "send"])
def test_one_rank_alone_is_refused_and_never_takes_no_time(bench_of, operation):
    bench = bench_of(4, nodes=1)
    for run in (bench.run, bench.run_all):
        with pytest.raises(MachineError, match=f"{operation} needs at least 2 ranks, but 1 node of 'test' has 1"):
            run(operation, 32)


def test_what_would_take_no_time_is_refused(bench_of):
    with pytest.raises(MachineError, match="barrier takes no time on 'test': its latencies are all 0"):
        bench_of(4, hop_s=0.0, message_s=0.0).run("barrier", 0)


def test_fewer_ranks_than_devices_leave_some_idle(machine_of):
    machine = machine_of(4, devices=4, peer_bandwidth_bytes_per_s=5e10)
    half = with_ranks_per_node(machine, 2)
    assert half.node.devices == 2
    assert half.node.device == machine.node.device
    assert half.node.peer_bandwidth_bytes_per_s == 5e10
    assert with_ranks_per_node(machine, 4) is machine


def test_a_part_has_the_nodes_or_the_shape_that_was_asked_for(machine_of, plugins):
    machine = machine_of(4, 6)
    assert len(part_of(machine, nodes=None, shape=None, plugins=plugins).nodes) == 24
    assert len(part_of(machine, nodes=8, shape=None, plugins=plugins).nodes) == 8
    assert part_of(machine, nodes=None, shape=(2, 3), plugins=plugins).shape == (2, 3)


@pytest.mark.parametrize(
    ("nodes", "shape", "message"),
    [
        (0, None, "ask for 1 to 24"),
        (25, None, "'test' has 24 nodes; 25 cannot be used"),
        (7, (2, 3), "a grid of 2x3 has 6 nodes, not 7"),
        (None, (5, 5), "'test' has 24 nodes; 25 cannot be used"),
        (None, (5, 4), "5x4"),
    ],
)
def test_a_part_that_cannot_be_had_is_refused(machine_of, plugins, nodes, shape, message):
    with pytest.raises(MachineError, match=message):
        part_of(machine_of(4, 6), nodes=nodes, shape=shape, plugins=plugins)
