from dataclasses import replace

import numpy as np
import pytest
from fujimi_core.machine import Regime, Transport
from fujimi_core.network import Phase
from fujimi_sim.network.loads import Load
from fujimi_sim.network.timing import Cost, PhaseCost, least_s, phases_cost
from fujimi_sim.network.torus import Torus

LOAD = Load(busy_s_per_byte=2e-9, hops=3, bottleneck="link +x")
NOBODY = np.array([], np.int64)
PLAIN = Transport(regimes=(Regime(latency_s=1e-6),))


def seconds(machine, nbytes, *, load=LOAD, transport=PLAIN, **fields):
    phase = Phase(src=NOBODY, dst=NOBODY, **fields)
    machine = replace(machine, network=replace(machine.network, transports={"mpi": transport}))
    return PhaseCost(phase=phase, load=load, machine=machine).parts(nbytes).total()


def load_of(**fields):
    return Load(busy_s_per_byte=2e-9, hops=3, bottleneck="link +x", **fields)


@pytest.fixture
def machine(machine_of):
    return machine_of(4, hop_s=1e-7)


def test_a_phase_takes_latency_hops_and_bytes_over_bandwidth(machine):
    assert seconds(machine, 1e6) == pytest.approx(1e-6 + 3e-7 + 2e-3)


def test_a_share_repeated_takes_its_part_each_time(machine):
    assert seconds(machine, 1e6, share=0.25, repeats=3) == pytest.approx(3 * (1e-6 + 3e-7 + 0.5e-3))


def test_fixed_bytes_are_sent_whatever_the_size(machine):
    assert seconds(machine, 0, share=0.0, fixed_bytes=1000.0) == pytest.approx(1e-6 + 3e-7 + 2e-6)


def test_whoever_adds_up_reads_and_writes_for_every_message_that_came(machine):
    adding, passing = (seconds(machine, 1e6, load=load_of(received=2), reduces=reduces) for reduces in (True, False))
    assert adding - passing == pytest.approx(2 * 3 * 1e6 / (1e12 * 0.75))


def test_the_rate_of_additions_and_copies_may_be_that_of_the_library(machine):
    slow = Transport(regimes=PLAIN.regimes, addition_bytes_per_s=1e9, copy_bytes_per_s=4e9)
    extra = seconds(machine, 1e6, transport=slow, reduces=True, copied=0.5) - seconds(machine, 1e6)
    assert extra == pytest.approx(1e-3 + 0.5e6 / 4e9)


def test_a_copy_reads_and_writes_the_memory(machine):
    assert seconds(machine, 1e6, copied=1.0) - seconds(machine, 1e6) == pytest.approx(2 * 1e6 / (1e12 * 0.75))


def test_each_further_operation_of_an_endpoint_takes_its_time(machine):
    busy = Transport(regimes=PLAIN.regimes, operation_s=5e-7)
    one = seconds(machine, 0, transport=busy)
    assert seconds(machine, 0, transport=busy, load=load_of(operations=12)) - one == pytest.approx(11 * 5e-7)


def test_threads_add_up_long_messages_together_once_they_have_met(machine):
    meeting = Transport(regimes=PLAIN.regimes, team_s=1e-5, lane_team_s=2e-6, team_bytes=1000)
    alone = seconds(machine, 999, transport=meeting, reduces=True)
    together, lane = (seconds(machine, 1000, transport=meeting, reduces=True, lanes=lanes) for lanes in (1, 3))
    assert together - alone == pytest.approx(1e-5, rel=1e-3)
    assert lane - alone == pytest.approx(2e-6, rel=1e-2)


def test_new_memory_takes_its_time_only_if_it_is_not_kept_from_the_call_before(machine):
    forgetful = Transport(regimes=PLAIN.regimes, fresh_bytes=1e6, fresh_bytes_per_s=1e9)
    kept, fresh = (seconds(machine, n, transport=forgetful, fresh=1.0) - seconds(machine, n) for n in (1e6, 2e6))
    assert (kept, fresh) == (0.0, pytest.approx(2e-3))


def test_what_is_planned_and_copied_block_by_block_is_paid_each_time(machine):
    planning = Transport(regimes=PLAIN.regimes, plan_s=4e-6, block_s=1e-7, team_s=1e-5)
    extra = seconds(machine, 0, transport=planning, repeats=2, plans=3, blocks=10, teams=1) - seconds(
        machine, 0, repeats=2
    )
    assert extra == pytest.approx(2 * (3 * 4e-6 + 10 * 1e-7) + 1e-5)


def test_short_and_long_messages_are_sent_in_their_own_ways(machine):
    eager = Regime(latency_s=1e-6, copy_bytes_per_s=1e9, up_to_bytes=700, up_to_bytes_per_hop=100)
    both = Transport(regimes=(eager, Regime(latency_s=7e-6)))
    assert seconds(machine, 1000, transport=both) == pytest.approx(1e-6 + 3e-7 + 2e-6 + 1e-6)
    assert seconds(machine, 1001, transport=both) == pytest.approx(7e-6 + 3e-7 + 2.002e-6)


def test_pieces_overlap_their_additions_with_the_network(machine):
    # 4 pieces of 1 MB: 2 ms each in the network; 0.5 ms to add one up, or 10 ms.
    quick, slow = (Transport(regimes=PLAIN.regimes, addition_bytes_per_s=rate) for rate in (2e9, 1e8))
    fields = {"reduces": True, "segment_bytes": 1_000_000}
    assert seconds(machine, 4e6, transport=quick, **fields) == pytest.approx(1.3e-6 + 4 * 2e-3 + 0.5e-3)
    assert seconds(machine, 4e6, transport=slow, **fields) == pytest.approx(1.3e-6 + 2e-3 + 4 * 10e-3)


def test_a_pipeline_takes_one_piece_more_for_each_stage(machine):
    # Pieces of 1 MB take 2 ms: the last of 4 leaves after 3 more, and all go through 5 stages.
    taken = seconds(machine, 4e6, stages=5, segment_bytes=1_000_000)
    assert taken == pytest.approx(5 * (1.3e-6 + 2e-3) + 3 * 2e-3, rel=1e-3)


def test_no_messages_cost_nothing(machine_of):
    assert phases_cost([Phase(src=NOBODY, dst=NOBODY)], Torus.of(machine_of(4))).seconds(1e9) == 0.0


def test_the_bottleneck_is_what_takes_longest_at_that_size(machine_of):
    cost = phases_cost([Phase(src=np.array([0]), dst=np.array([1]))], Torus.of(machine_of(4)))
    assert cost.bottleneck(1.0) == "latency"
    assert cost.bottleneck(1e9) == "link +x"
    assert Cost().bottleneck(1.0) == "nothing"


def test_a_call_and_its_lanes_are_paid_once(machine_of):
    machine = machine_of(4, transports={"put": Transport(regimes=PLAIN.regimes, call_s=1e-3, lane_s=1e-4)})
    phases = [Phase(src=np.array([0]), dst=np.array([1]), lanes=3)] * 2
    put, plain = (phases_cost(phases, Torus.of(machine), transport=name).seconds(0) for name in ("put", "mpi"))
    assert put - plain == pytest.approx(1e-3 + 2e-4)


@pytest.mark.parametrize("nbytes", [0, 1e3, 1e8])
def test_no_phases_cost_less_than_their_bound(machine_of, pattern, nbytes):
    machine = machine_of(4, 4, interface_bandwidth_bytes_per_s=1e9)
    phases = [Phase(src=np.arange(16), dst=pattern("random", 16, seed=seed), share=0.5, repeats=2) for seed in range(5)]
    cost = phases_cost(phases, Torus.of(machine))
    assert 0 < least_s(phases, machine, nbytes) <= cost.seconds(nbytes)
