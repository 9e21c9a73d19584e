from collections.abc import Sequence

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Regime, Transport
from fujimi_core.measurements import Measurement
from fujimi_core.workload import Collective
from fujimi_sim.network.comparison import compare

LINK, HOP_S = 1e9, 1e-7
TRANSPORTS = {
    "send": Transport(regimes=(Regime(latency_s=3e-6),)),
    "mpi": Transport(regimes=(Regime(latency_s=1e-6),), call_s=5e-6, addition_bytes_per_s=2e9),
}


class Library:
    """Chooses rings for all collectives, and what cannot be for barriers."""

    def __init__(self) -> None:
        self.asked: list[Collective] = []

    @hookimpl
    def fujimi_choose_collective(self, collective: Collective, members: int, names: Sequence[str]) -> str | None:
        self.asked.append(collective)
        return "ring" if "ring" in names else None


@pytest.fixture
def library(plugins):
    found = Library()
    plugins.register(found, "library")
    return found


@pytest.fixture
def machine(machine_of):
    return machine_of(4, 4, transports=TRANSPORTS)


def measured(collective="all_reduce", **fields):
    values = {"nodes": 4, "nbytes": 4_000_000, "seconds": 1e-3, "reported": "what they called it"}
    return Measurement(collective=collective, **(values | fields))


def ring_s(nbytes, ranks, *, gathers):
    """A reduce-scatter or an all-gather around a ring whose links have one message each way."""
    step_s = 1e-6 + HOP_S + nbytes / ranks / LINK
    return (ranks - 1) * (step_s if gathers else step_s + nbytes / ranks / 2e9)


def test_a_named_algorithm_is_taken(machine, plugins, library):
    ((found,), left_out) = compare([measured(algorithm="recursive_doubling", shape=(2, 2))], machine, plugins=plugins)
    assert (found.algorithm, found.named, left_out) == ("recursive_doubling", True, [])
    assert not library.asked
    # Two steps of the whole buffer to a partner one hop away.
    step_s = 1e-6 + HOP_S + 4e6 / LINK + 4e6 / 2e9
    assert found.seconds == pytest.approx(5e-6 + 2 * step_s)
    assert found.error == pytest.approx(found.seconds / 1e-3 - 1)


def test_without_a_name_the_library_chooses(machine, plugins, library):
    ((found,), _) = compare([measured(dtype="int32")], machine, plugins=plugins)
    assert (found.algorithm, found.named) == ("ring", False)
    assert (library.asked[0].nbytes, library.asked[0].dtype) == (4_000_000, "int32")
    assert found.seconds == pytest.approx(5e-6 + ring_s(4e6, 4, gathers=True) + ring_s(4e6, 4, gathers=False))


@pytest.mark.parametrize("algorithm", ["bine_halving_x1", "pairwise"])
def test_an_algorithm_that_cannot_serve_is_replaced_by_the_choice_of_the_library(machine, plugins, library, algorithm):
    # Six members are no power of two; pairwise is for other collectives.
    ((found,), left_out) = compare([measured(nodes=6, algorithm=algorithm)], machine, plugins=plugins)
    assert (found.algorithm, found.named, left_out) == ("ring", False, [])
    assert found.measured.reported == "what they called it"


def test_a_name_that_no_algorithm_has_is_refused_with_one_that_is_near(machine, plugins):
    with pytest.raises(MachineError, match=r"Unknown algorithm for all_reduce: 'rign'.*Did you mean 'ring'\?"):
        compare([measured(algorithm="rign")], machine, plugins=plugins)


def test_rows_of_algorithms_that_are_not_modelled_are_left_out(machine, plugins, library):
    rows = [measured(algorithm="ring"), measured(modelled=False), measured(algorithm="ring", nbytes=8)]
    found, left_out = compare(rows, machine, plugins=plugins)
    assert [each.measured for each in found] == [rows[0], rows[2]]
    assert left_out == [rows[1]]


def test_a_message_goes_from_the_first_node_to_the_next(machine, plugins):
    ((found,), _) = compare([measured("send", nodes=2)], machine, plugins=plugins)
    assert (found.algorithm, found.named) == ("send", True)
    assert found.seconds == pytest.approx(3e-6 + HOP_S + 4e6 / LINK)


def test_a_shape_says_which_part_of_the_machine_a_job_had(machine, plugins):
    line, square = (
        compare([measured(algorithm="bucket", shape=shape)], machine, plugins=plugins)[0][0]
        for shape in ((1, 4), (2, 2))
    )
    # 6 steps of a quarter on a ring; on a square of 2 x 2 one step of a half and one of a quarter, there and back.
    assert line.cost.seconds(0) == pytest.approx(5e-6 + 6 * (1e-6 + HOP_S))
    assert square.cost.seconds(0) == pytest.approx(5e-6 + 4 * (1e-6 + HOP_S))


def test_ranks_of_a_node_take_part(machine, plugins):
    one, four = (
        compare([measured(algorithm="recursive_doubling", ranks_per_node=ranks)], machine, plugins=plugins)[0][0]
        for ranks in (1, 4)
    )
    assert (len(one.cost.phases), len(four.cost.phases)) == (2, 4)
    # The first two steps are inside nodes, at the rate at which their part of the memory is read and written.
    assert [each.load.bottleneck for each in four.cost.phases[:2]] == ["peer", "peer"]
    assert four.cost.phases[0].machine.node.device.memory_bandwidth_bytes_per_s == pytest.approx(1e12 / 4)


def test_rows_of_the_same_algorithm_share_their_cost(machine, plugins):
    rows = [measured(algorithm="ring", nbytes=nbytes) for nbytes in (8, 800, 8)]
    found, _ = compare(rows, machine, plugins=plugins)
    assert found[0].cost is found[1].cost is found[2].cost
    other = compare([measured(algorithm="ring", nodes=16)], machine, plugins=plugins)[0][0]
    assert other.cost is not found[0].cost


@pytest.mark.parametrize(("fields", "said"), [({"nodes": 17}, "17"), ({"shape": (2, 3)}, "2x3")])
def test_jobs_that_the_machine_does_not_have_are_refused(machine, plugins, fields, said):
    with pytest.raises(MachineError, match=said):
        compare([measured(**fields)], machine, plugins=plugins)


def test_nothing_to_compare_is_nothing(machine, plugins):
    assert compare([], machine, plugins=plugins) == ([], [])
