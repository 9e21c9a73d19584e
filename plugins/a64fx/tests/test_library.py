"""The table of Fujitsu MPI against what is published about it."""

import pytest
from fujimi_a64fx import plugin
from fujimi_core.machine import Machine
from fujimi_core.workload import Collective, CollectiveKind

EVERYTHING = sorted({name for rules in plugin.fujitsu_mpi().rules.values() for rule in rules for name in rule.use})


@pytest.fixture(scope="module")
def fugaku() -> Machine:
    machine, _ = plugin.fujimi_machines()
    return machine


def chosen(fugaku: Machine, kind: str, nbytes: int, members: int, dtype: str = "float32") -> str | None:
    collective = Collective(kind=CollectiveKind(kind), nbytes=nbytes, axes=("dp",), dtype=dtype)
    return plugin.fujimi_choose_collective(collective, members, fugaku, EVERYTHING)


@pytest.mark.parametrize(
    ("kind", "nbytes", "members", "name"),
    [
        ("all_reduce", 8, 1536, "tofu_barrier"),
        ("all_reduce", 12, 1536, "tofu_barrier"),
        ("all_reduce", 16, 1536, "recursive_doubling"),
        ("all_reduce", 98_304, 1536, "recursive_doubling"),
        ("all_reduce", 98_305, 1536, "trinary_x3/4096"),
        ("all_reduce", 2**22, 1536, "trinary_x3/16384"),
        ("all_reduce", 2**29, 8, "ring"),
        ("all_gather", 64 * 8192, 64, "torus_rings"),
        ("broadcast", 2**29, 64, "trinary_x6/65536"),
        ("reduce", 2**20, 64, "in_order_binary/65536"),
        ("barrier", 0, 64, "tofu_barrier"),
    ],
)
def test_thresholds_are_those_of_the_decision_tree(fugaku, kind, nbytes, members, name):
    assert chosen(fugaku, kind, nbytes, members) == name


def test_the_network_adds_up_six_integers_or_three_floating_point_numbers(fugaku):
    assert chosen(fugaku, "all_reduce", 24, 64, "int32") == "tofu_barrier"
    assert chosen(fugaku, "all_reduce", 28, 64, "int32") == "recursive_doubling"
    assert chosen(fugaku, "all_reduce", 24, 64, "float64") == "tofu_barrier"
    assert chosen(fugaku, "all_reduce", 32, 64, "float64") == "recursive_doubling"


@pytest.mark.parametrize("kind", list(CollectiveKind))
@pytest.mark.parametrize("members", [2, 33, 4_000, 20_000, 158_976])
def test_every_size_of_every_collective_has_an_algorithm(fugaku, kind, members):
    assert all(chosen(fugaku, kind, nbytes, members) for nbytes in (0, 1, 100, 10**4, 10**6, 10**9))


def test_machines_with_another_library_are_left_alone(fugaku):
    import dataclasses

    other = dataclasses.replace(fugaku, network=dataclasses.replace(fugaku.network, library=""))
    assert chosen(other, "all_reduce", 8, 64) is None
