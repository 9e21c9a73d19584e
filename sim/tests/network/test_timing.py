import numpy as np
import pytest
from fujimi_core.network import Load, Phase
from fujimi_sim.network.timing import Cost, least_cost, phase_cost, phases_cost, total
from fujimi_sim.network.torus import Torus

LOAD = Load(busy_s_per_byte=2e-9, hops=3, bottleneck="link +x")


def phase(dst, **fields):
    return Phase(src=np.arange(len(dst)), dst=np.array(dst), **fields)


def test_a_phase_takes_latency_hops_and_bytes_over_bandwidth(machine_of):
    cost = phase_cost(phase([1]), load=LOAD, machine=machine_of(4, hop_s=1e-7, message_s=1e-6))
    assert cost.seconds(1e6) == pytest.approx(1e-6 + 3e-7 + 2e-3)


def test_a_share_repeated_takes_its_part_each_time(machine_of):
    machine = machine_of(4, hop_s=1e-7, message_s=1e-6)
    cost = phase_cost(phase([1], share=0.25, repeats=3), load=LOAD, machine=machine)
    assert cost.seconds(1e6) == pytest.approx(3 * (1e-6 + 3e-7 + 0.5e-3))


def test_whoever_adds_up_reads_and_writes_for_every_message_that_came(machine_of):
    machine = machine_of(4)
    adding = phase_cost(phase([3, 3, 0], reduces=True), load=LOAD, machine=machine)
    passing = phase_cost(phase([3, 3, 0]), load=LOAD, machine=machine)
    assert adding.seconds(1e6) - passing.seconds(1e6) == pytest.approx(2 * 3 * 1e6 / (1e12 * 0.75))


def test_no_messages_cost_nothing(machine_of):
    machine, none = machine_of(4), np.array([], np.int64)
    assert phases_cost([Phase(src=none, dst=none)], Torus.of(machine), machine).seconds(1e9) == 0.0


def test_the_bottleneck_is_what_takes_longest_at_that_size():
    cost = total(
        [Cost(latency_s=1e-3, s_per_byte={"link +x": 1e-9}), Cost(s_per_byte={"link +x": 1e-9, "memory": 1e-9})]
    )
    assert cost.bottleneck(1.0) == "latency"
    assert cost.bottleneck(1e9) == "link +x"
    assert cost.seconds(1e6) == pytest.approx(1e-3 + 3e-3)
    assert Cost().bottleneck(1.0) == "nothing"


@pytest.mark.parametrize("nbytes", [0, 1e3, 1e8])
def test_no_phases_cost_less_than_their_bound(machine_of, pattern, nbytes):
    machine = machine_of(4, 4, interface_bandwidth_bytes_per_s=1e9)
    phases = [Phase(src=np.arange(16), dst=pattern("random", 16, seed=seed), share=0.5, repeats=2) for seed in range(5)]
    cost = phases_cost(phases, Torus.of(machine), machine)
    assert 0 < least_cost(phases, machine).seconds(nbytes) <= cost.seconds(nbytes)
