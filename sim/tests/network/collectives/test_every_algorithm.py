"""What must hold for every generic algorithm: who hears of whom, and how many bytes that takes at least."""

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.generic import GENERIC
from fujimi_sim.network.torus import Torus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MOST_MEMBERS = 33
DEVICES = 4


def offered():
    cases = [(algorithm, kind) for algorithm in GENERIC for kind in sorted(algorithm.kinds)]
    return [pytest.param(*case, id=f"{case[0].name}-{case[1]}") for case in cases]


def heard(phases, endpoints):
    """Who has heard of whom, as a matrix: a message carries all that its sender knew before the step."""
    knows = np.eye(endpoints, dtype=bool)
    for phase in phases:
        for _ in range(min(phase.repeats, endpoints) * phase.stages):
            before = knows.copy()
            np.logical_or.at(knows, phase.dst, before[phase.src])
    return knows


def received(phases):
    """Bytes received by all together, over one rank's whole buffer."""
    return sum(phase.share * phase.repeats * np.count_nonzero(phase.src != phase.dst) for phase in phases)


def who_must_hear(kind, groups):
    """Pairs of listener and speaker."""
    for members in groups.tolist():
        listeners = members[:1] if kind in (CollectiveKind.GATHER, CollectiveKind.REDUCE) else members
        speakers = members[:1] if kind in (CollectiveKind.BROADCAST, CollectiveKind.SCATTER) else members
        yield from ((listener, speaker) for listener in listeners for speaker in speakers)


def least_bytes(kind, p):
    """What the members of a group must receive together.

    Source:
        E. Chan, M. Heimlich, A. Purkayastha, R. van de Geijn, "Collective communication: theory, practice, and
        experience", Concurrency Computat.: Pract. Exper. 19 (2007), table I, summed over the members.
    """
    return {
        CollectiveKind.ALL_REDUCE: 2 * (p - 1),
        CollectiveKind.REDUCE_SCATTER: p - 1,
        CollectiveKind.ALL_GATHER: p - 1,
        CollectiveKind.ALL_TO_ALL: p - 1,
        CollectiveKind.BROADCAST: p - 1,
        CollectiveKind.REDUCE: p - 1,
        CollectiveKind.GATHER: (p - 1) / p,
        CollectiveKind.SCATTER: (p - 1) / p,
        CollectiveKind.BARRIER: 0,
    }[kind]


@st.composite
def grouped(draw):
    """Groups of endpoints, in order or not, and the devices of a node."""
    members = draw(st.integers(1, MOST_MEMBERS))
    count = draw(st.integers(1, 3))
    devices = draw(st.sampled_from([1, DEVICES]))
    endpoints = np.arange(members * count)
    if draw(st.booleans()):
        endpoints = np.random.default_rng(draw(st.integers(0, 100))).permutation(endpoints)
    return endpoints.reshape(count, members), devices


def phases_of(machine_of, algorithm, kind, case):
    groups, devices = case
    nodes = -(-groups.size // devices)
    several = {"devices": devices, "peer_bandwidth_bytes_per_s": 1e9} if devices > 1 else {}
    topology = Torus.of(machine_of(nodes, **several))
    return algorithm.phases(kind, groups, topology=topology)


@pytest.mark.parametrize(("algorithm", "kind"), offered())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=grouped())
def test_everybody_hears_what_is_meant_for_him_and_nothing_of_other_groups(machine_of, algorithm, kind, case):
    phases = phases_of(machine_of, algorithm, kind, case)
    if phases is None:
        return
    groups, _ = case
    knows = heard(phases, groups.size)
    assert all(knows[pair] for pair in who_must_hear(kind, groups))
    group = np.empty(groups.size, np.int64)
    group[groups] = np.arange(len(groups))[:, None]
    assert not knows[group[:, None] != group[None]].any()


@pytest.mark.parametrize(("algorithm", "kind"), offered())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=grouped())
def test_no_algorithm_sends_less_than_it_must_or_a_message_longer_than_the_buffer(machine_of, algorithm, kind, case):
    phases = phases_of(machine_of, algorithm, kind, case)
    if phases is None:
        return
    count, members = case[0].shape
    assert received(phases) >= count * least_bytes(kind, members) * (1 - 1e-9)
    assert all(0 <= phase.share <= 1 for phase in phases)
    assert any(phase.reduces for phase in phases) == (
        members > 1 and kind in (CollectiveKind.ALL_REDUCE, CollectiveKind.REDUCE, CollectiveKind.REDUCE_SCATTER)
    )


@pytest.mark.parametrize(("algorithm", "kind"), offered())
def test_a_collective_of_one_is_over_at_once(machine_of, algorithm, kind):
    phases = algorithm.phases(kind, np.arange(4)[:, None], topology=Torus.of(machine_of(4)))
    assert not phases or not any(len(phase.src) for phase in phases)
