"""What must hold for every algorithm: who hears of whom, and how many bytes that takes at least."""

import re

import numpy as np
import pytest
from fujimi_core.machine import Regime, Transport
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.generic import GENERIC
from fujimi_sim.network.collectives.tofu import TOFU
from fujimi_sim.network.torus import Torus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

MOST_MEMBERS = 33
DEVICES = 4
GATES = {"tofu_barrier": Transport(regimes=(Regime(latency_s=1e-7),))}
#: Jobs as grids, for algorithms that send along axes; on others, and on groups that are not the whole job, most of
#: these see a line.
GRIDS = [(2, 2), (4, 2), (3, 4), (2, 2, 2), (3, 3, 3), (4, 1, 4), (2, 4, 4), (3, 2, 4), (5, 3)]


def representatives():
    """All generic algorithms; of those for Tofu one with each name but for segments, and some numbers of lanes.

    Segments say into what messages are cut, and nothing here looks at that.
    """
    of_tofu = {}
    for each in TOFU:
        if getattr(each, "lanes", 1) in (1, 3, 6):
            of_tofu.setdefault(re.sub(r"/\d+", "", each.name), each)
    return [*GENERIC, *of_tofu.values()]


def offered(*, without=()):
    cases = [
        (algorithm, kind)
        for algorithm in representatives()
        for kind in sorted(algorithm.kinds)
        if algorithm.name not in without
    ]
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
    """Groups of endpoints, in order or not, the grid of their nodes, and the devices of a node."""
    devices = draw(st.sampled_from([1, DEVICES]))
    if draw(st.booleans()):
        extents = draw(st.sampled_from(GRIDS if devices == 1 else [grid for grid in GRIDS if np.prod(grid) <= 12]))
        members, count = int(np.prod(extents)) * devices, 1
    else:
        members, count = draw(st.integers(1, MOST_MEMBERS)), draw(st.integers(1, 3))
        extents = (-(-members * count // devices),)
    endpoints = np.arange(members * count)
    if draw(st.booleans()):
        endpoints = np.random.default_rng(draw(st.integers(0, 100))).permutation(endpoints)
    return endpoints.reshape(count, members), extents, devices


def phases_of(machine_of, algorithm, kind, case):
    groups, extents, devices = case
    several = {"devices": devices, "peer_bandwidth_bytes_per_s": 1e9} if devices > 1 else {}
    machine = machine_of(*extents, transports=GATES, **several)
    whole = Torus.of(machine)
    topology = whole.allocate(machine.nodes, shape=extents) if len(extents) > 1 else whole
    return algorithm.phases(kind, groups, topology=topology)


@pytest.mark.parametrize(("algorithm", "kind"), offered())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(case=grouped())
def test_everybody_hears_what_is_meant_for_him_and_nothing_of_other_groups(machine_of, algorithm, kind, case):
    phases = phases_of(machine_of, algorithm, kind, case)
    if phases is None:
        return
    groups = case[0]
    knows = heard(phases, groups.size)
    assert all(knows[pair] for pair in who_must_hear(kind, groups))
    group = np.empty(groups.size, np.int64)
    group[groups] = np.arange(len(groups))[:, None]
    assert not knows[group[:, None] != group[None]].any()


# What gates add up is in the messages of the barrier, and takes no bytes of its own.
@pytest.mark.parametrize(("algorithm", "kind"), offered(without=["tofu_barrier"]))
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


@pytest.mark.parametrize(("algorithm", "kind"), offered())
def test_every_algorithm_serves_a_job_that_is_a_cube(machine_of, algorithm, kind):
    case = np.arange(64)[None], (4, 4, 4), 1
    several = np.arange(64)[None], (4, 4), 4
    found = [phases_of(machine_of, algorithm, kind, each) for each in (case, several)]
    assert any(phase.src.size or phase.copied for phases in found for phase in phases or ())
