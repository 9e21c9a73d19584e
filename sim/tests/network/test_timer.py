import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.mesh import Mesh
from fujimi_core.placement import fill_nodes
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Send
from fujimi_sim.network.timer import NOTHING, CommunicationTimer
from fujimi_sim.network.torus import Torus


def all_reduce(nbytes, *axes):
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=nbytes, axes=axes, dtype="float32")


class Watched:
    """A topology that remembers what it routed."""

    def __init__(self, topology):
        self._topology = topology
        self.routed = []

    def __getattr__(self, name):
        return getattr(self._topology, name)

    def routes(self, src, dst):
        self.routed.append((src, dst))
        return self._topology.routes(src, dst)


@pytest.fixture
def timer_of(plugins):
    def timer(machine, *, topology=None, nodes=None, **shape):
        mesh = Mesh.of(**shape)
        topology = topology or Torus.of(machine).allocate(mesh.world_size)
        nodes = topology.nodes if nodes is None else nodes
        placement = fill_nodes(nodes, ranks_per_node=machine.node.devices)
        return CommunicationTimer(machine, topology, mesh=mesh, placement=placement, plugins=plugins)

    return timer


def test_a_group_of_one_takes_no_time(timer_of, machine_of):
    assert timer_of(machine_of(4), dp=4, tp=1).collective(all_reduce(1000, "tp")) == NOTHING


def test_small_buffers_go_by_few_steps_and_large_ones_by_few_bytes(timer_of, machine_of):
    timer = timer_of(machine_of(8, 8), dp=64)
    assert timer.collective(all_reduce(8, "dp")).algorithm == "recursive_doubling"
    assert timer.collective(all_reduce(10**9, "dp")).algorithm == "multiport_bucket"


def test_the_bottleneck_is_named(timer_of, machine_of):
    timer = timer_of(machine_of(8), dp=8)
    assert timer.collective(all_reduce(8, "dp")).bottleneck == "latency"
    assert timer.collective(all_reduce(10**9, "dp")).bottleneck == "link +x"


def test_no_algorithm_is_faster_than_the_one_that_is_taken(timer_of, machine_of, plugins):
    machine = machine_of(4, 4)
    for nbytes in (8, 10**4, 10**5, 10**6, 10**8):
        taken_s = timer_of(machine, dp=16).collective(all_reduce(nbytes, "dp")).seconds
        for name in ("ring", "bucket", "multiport_bucket", "recursive_doubling"):
            choosing = Plugins(strict=True)
            choosing.register(choice_of(name), "choice")
            for plugin in ("ring", "bucket", "multiport_bucket", "recursive_doubling"):
                choosing.register(offer_of(plugins, plugin), plugin)
            mesh, torus = Mesh.of(dp=16), Torus.of(machine)
            placement = fill_nodes(torus.nodes, ranks_per_node=1)
            timer = CommunicationTimer(machine, torus, mesh=mesh, placement=placement, plugins=choosing)
            timing = timer.collective(all_reduce(nbytes, "dp"))
            assert timing.algorithm == name
            assert timing.seconds >= taken_s


def choice_of(chosen):
    class Choice:
        @hookimpl
        def fujimi_choose_collective(self, collective, members, machine, names):
            return chosen

    return Choice()


def offer_of(plugins, name):
    class Offer:
        @hookimpl
        def fujimi_collectives(self):
            return [plugins.collectives()[name]]

    return Offer()


def test_buffers_of_other_sizes_are_not_routed_again(timer_of, machine_of):
    machine = machine_of(4, 4, 4)
    watched = Watched(Torus.of(machine))
    timer = timer_of(machine, topology=watched, dp=64)
    timer.collective(all_reduce(25_000_000, "dp"))
    routed = len(watched.routed)
    for extra in range(1, 14):
        timer.collective(all_reduce(25_000_000 + extra, "dp"))
    assert 0 < routed == len(watched.routed)


def test_an_algorithm_that_cannot_be_fastest_is_not_routed(timer_of, machine_of):
    machine = machine_of(4, 4, 4, interface_bandwidth_bytes_per_s=1e9)
    watched = Watched(Torus.of(machine))
    timer_of(machine, topology=watched, dp=64).collective(all_reduce(10**9, "dp"))
    # Recursive doubling exchanges between ranks 32 apart; the bucket and the ring talk to neighbours only.
    assert not any(((dst - src) % 64 == 32).all() for src, dst in watched.routed)


def test_groups_that_are_torn_apart_pay_for_the_links_they_share(timer_of, machine_of):
    machine = machine_of(8, 8)
    scattered = np.random.default_rng(0).permutation(64)
    together = timer_of(machine, dp=8, tp=8).collective(all_reduce(10**8, "tp"))
    apart = timer_of(machine, nodes=scattered, dp=8, tp=8).collective(all_reduce(10**8, "tp"))
    assert apart.seconds > 3 * together.seconds


def test_the_order_of_ranks_does_not_matter_to_the_bucket(timer_of, machine_of):
    machine = machine_of(8, 8)
    shuffled = np.random.default_rng(0).permutation(64)
    in_order = timer_of(machine, dp=64).collective(all_reduce(10**8, "dp"))
    assert timer_of(machine, nodes=shuffled, dp=64).collective(all_reduce(10**8, "dp")) == in_order


def test_nobody_can_run_what_no_plugin_offers(machine_of):
    machine, mesh = machine_of(4), Mesh.of(dp=4)
    torus = Torus.of(machine)
    placement = fill_nodes(torus.nodes, ranks_per_node=1)
    timer = CommunicationTimer(machine, torus, mesh=mesh, placement=placement, plugins=Plugins(strict=True))
    with pytest.raises(MachineError, match="no installed algorithm can run all_reduce"):
        timer.collective(all_reduce(8, "dp"))


def test_every_rank_needs_a_place(machine_of, plugins):
    machine = machine_of(4)
    torus = Torus.of(machine)
    placement = fill_nodes(torus.nodes, ranks_per_node=1)
    with pytest.raises(MachineError, match="4 ranks are placed, but the mesh has 8"):
        CommunicationTimer(machine, torus, mesh=Mesh.of(dp=8), placement=placement, plugins=plugins)


@pytest.mark.parametrize(
    ("offset", "where", "expected"),
    [
        (1, {}, [(0, 2), (1, 3), (2, 4), (3, 5)]),
        (1, {"pp": (1, 2)}, [(2, 4), (3, 5)]),
        (-2, {}, [(4, 0), (5, 1)]),
        (1, {"pp": (0, 1), "tp": (1, 2)}, [(1, 3)]),
    ],
)
def test_a_stage_sends_to_the_rank_that_is_offset_further_along_the_axis(timer_of, machine_of, offset, where, expected):
    machine = machine_of(6)
    watched = Watched(Torus.of(machine))
    timer_of(machine, topology=watched, pp=3, tp=2).send(Send(nbytes=8, axis="pp", offset=offset), where)
    ((src, dst),) = watched.routed
    assert list(zip(src.tolist(), dst.tolist(), strict=True)) == expected


def test_a_message_takes_latency_hops_and_bytes_over_bandwidth(timer_of, machine_of):
    timer = timer_of(machine_of(6, link=1e9, hop_s=1e-7, message_s=1e-6), pp=3, tp=2)
    timing = timer.send(Send(nbytes=10**6, axis="pp", offset=1), {"pp": (0, 1), "tp": (0, 1)})
    assert timing.seconds == pytest.approx(1e-6 + 2e-7 + 1e-3)
    assert (timing.algorithm, timing.bottleneck) == ("send", "link +x")


def test_a_message_that_nobody_sends_takes_no_time(timer_of, machine_of):
    timer = timer_of(machine_of(4), pp=4)
    assert timer.send(Send(nbytes=8, axis="pp", offset=1), {"pp": (3, 4)}).seconds == 0.0
