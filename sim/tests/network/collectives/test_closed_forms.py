"""Steps and bytes against the formulas of the literature, for groups where these hold.

Source:
    R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH", Int. J. High
    Perform. Comput. Appl. 19 (2005), section 4; the others from the papers that the algorithms name.
"""

import math

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.torus import Torus

POWERS = [2, 4, 8, 16, 64]
ANY = [2, 3, 5, 6, 7, 12, 16, 31, 33]


def log(p):
    return math.ceil(math.log2(p))


def most(p):
    return (p - 1) / p


# Algorithm, operation, numbers of members, steps, bytes over the buffer on the way that takes longest.
TABLE = [
    ("ring", "all_gather", ANY, lambda p: p - 1, most),
    ("ring", "reduce_scatter", ANY, lambda p: p - 1, most),
    ("ring", "all_reduce", ANY, lambda p: 2 * (p - 1), lambda p: 2 * most(p)),
    ("recursive_doubling", "all_gather", POWERS, log, most),
    ("recursive_doubling", "all_reduce", POWERS, log, log),
    ("recursive_doubling", "barrier", POWERS, log, lambda p: 0),
    ("recursive_halving", "reduce_scatter", POWERS, log, most),
    ("rabenseifner", "all_reduce", POWERS, lambda p: 2 * log(p), lambda p: 2 * most(p)),
    ("rabenseifner", "reduce", POWERS, lambda p: 2 * log(p), lambda p: 2 * most(p)),
    ("binomial", "broadcast", ANY, log, log),
    ("binomial", "reduce", ANY, log, log),
    ("binomial", "scatter", ANY, log, most),
    ("binomial", "gather", ANY, log, most),
    ("scatter_all_gather", "broadcast", ANY, lambda p: log(p) + p - 1, lambda p: 2 * most(p)),
    ("reduce_broadcast", "all_reduce", ANY, lambda p: 2 * log(p), lambda p: 2 * log(p)),
    ("reduce_then_scatter", "reduce_scatter", ANY, lambda p: log(p) + 1, lambda p: log(p) + 1 / p),
    ("bruck", "all_gather", ANY, log, most),
    ("bruck", "all_to_all", POWERS, log, lambda p: log(p) / 2),
    ("dissemination", "barrier", ANY, log, lambda p: 0),
    ("pairwise", "all_to_all", ANY, lambda p: p - 1, most),
    ("neighbor_exchange", "all_gather", [2, 4, 6, 10, 16, 32], lambda p: p // 2, most),
    ("linear", "all_to_all", ANY, lambda p: 1, lambda p: 1 / p),
    ("linear", "broadcast", ANY, lambda p: 1, lambda p: 1),
    ("binary", "broadcast", ANY, lambda p: int(math.log2(p)), lambda p: int(math.log2(p))),
    ("chain", "reduce", ANY, lambda p: p - 1, lambda p: p - 1),
]


@pytest.mark.parametrize(
    ("name", "kind", "p", "steps", "nbytes"),
    [(name, kind, p, steps(p), nbytes(p)) for name, kind, members, steps, nbytes in TABLE for p in members],
)
def test_steps_and_bytes_are_those_of_the_tables(plugins, machine_of, name, kind, p, steps, nbytes):
    algorithm = plugins.collectives()[name]
    phases = algorithm.phases(CollectiveKind(kind), np.arange(p)[None], topology=Torus.of(machine_of(p)))
    assert sum(phase.repeats * phase.stages for phase in phases) == steps
    assert sum(phase.repeats * phase.stages * phase.share for phase in phases) == pytest.approx(nbytes)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ring", "all_gather"),
        ("ring", "reduce_scatter"),
        ("bruck", "all_gather"),
        ("neighbor_exchange", "all_gather"),
        ("linear", "all_gather"),
        ("linear", "all_to_all"),
        ("pairwise", "all_to_all"),
    ],
)
@pytest.mark.parametrize("p", [2, 6, 12, 32])
def test_everybody_receives_each_foreign_block_once(plugins, machine_of, name, kind, p):
    algorithm = plugins.collectives()[name]
    phases = algorithm.phases(CollectiveKind(kind), np.arange(p)[None], topology=Torus.of(machine_of(p)))
    came = sum(phase.repeats * phase.share * np.bincount(phase.dst, minlength=p) for phase in phases)
    assert came == pytest.approx(np.full(p, most(p)))


@pytest.mark.parametrize("name", ["binomial", "linear"])
@pytest.mark.parametrize(("kind", "end"), [("gather", "dst"), ("scatter", "src")])
@pytest.mark.parametrize("p", ANY)
def test_all_blocks_but_its_own_pass_the_root_once(plugins, machine_of, name, kind, end, p):
    algorithm = plugins.collectives()[name]
    phases = algorithm.phases(CollectiveKind(kind), np.arange(p)[None], topology=Torus.of(machine_of(p)))
    passed = sum(phase.share * np.count_nonzero(getattr(phase, end) == 0) for phase in phases)
    assert passed == pytest.approx(most(p))


@pytest.mark.parametrize("p", [3, 5, 6, 7, 12, 31, 33])
def test_members_above_a_power_of_two_cost_two_steps(plugins, machine_of, p):
    for name, kind in [
        ("recursive_doubling", "all_reduce"),
        ("rabenseifner", "all_reduce"),
        ("recursive_halving", "reduce_scatter"),
    ]:
        algorithm = plugins.collectives()[name]
        inner = 1 << p.bit_length() - 1
        counts = [
            len(algorithm.phases(CollectiveKind(kind), np.arange(each)[None], topology=Torus.of(machine_of(each))))
            for each in (inner, p)
        ]
        assert counts[1] - counts[0] == 2


def test_recursive_doubling_gathers_powers_of_two_only(plugins, machine_of):
    algorithm, topology = plugins.collectives()["recursive_doubling"], Torus.of(machine_of(6))
    assert algorithm.phases(CollectiveKind.ALL_GATHER, np.arange(6)[None], topology=topology) is None


def test_neighbor_exchange_needs_pairs(plugins, machine_of):
    algorithm, topology = plugins.collectives()["neighbor_exchange"], Torus.of(machine_of(7))
    assert algorithm.phases(CollectiveKind.ALL_GATHER, np.arange(7)[None], topology=topology) is None


def test_bruck_copies_what_it_packs_unpacks_and_turns(plugins, machine_of):
    bruck, topology = plugins.collectives()["bruck"], Torus.of(machine_of(8))
    copied = {
        kind: sum(phase.copied for phase in bruck.phases(kind, np.arange(8)[None], topology=topology))
        for kind in bruck.kinds
    }
    # Three steps of half of the buffer, packed and unpacked, and two turns; one turn by way of another buffer.
    assert copied == pytest.approx({CollectiveKind.ALL_TO_ALL: 3 * 2 / 2 + 2, CollectiveKind.ALL_GATHER: 2})
