import dataclasses
import itertools
import math
from collections import deque

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_sim.network.tofu import Tofu
from fujimi_sim.network.torus import Torus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def damaged(machine, *, nodes=(), links=()):
    network = dataclasses.replace(machine.network, dead_nodes=tuple(nodes), dead_links=tuple(links))
    return dataclasses.replace(machine, network=network)


def live_graph(machine):
    """Live neighbours of each live node, built link by link."""
    extents = [axis.extent for axis in machine.network.axes]
    dead_nodes = set(machine.network.dead_nodes)
    dead_links = {frozenset(ends) for ends in machine.network.dead_links}
    number = {place: i for i, place in enumerate(itertools.product(*map(range, extents)))}
    graph = {node: set() for node in number.values() if node not in dead_nodes}
    for place, node in number.items():
        for position, axis in enumerate(machine.network.axes):
            ahead = list(place)
            ahead[position] = (place[position] + 1) % axis.extent
            other = number[tuple(ahead)]
            over_the_border = place[position] + 1 == axis.extent
            if {node, other} & dead_nodes or {node, other} in dead_links or (over_the_border and not axis.wrap):
                continue
            graph[node].add(other)
            graph[other].add(node)
    return graph


def distances(graph, start):
    found, queue = {start: 0}, deque([start])
    while queue:
        node = queue.popleft()
        for other in graph[node] - found.keys():
            found[other] = found[node] + 1
            queue.append(other)
    return found


def crossings(routes, extents):
    """Node that each crossing of a link leaves, the one that it enters, and how many messages cross it."""
    for number, links in enumerate(routes.links):
        step = -1 if number % 2 else 1
        for place in np.argwhere(links.messages):
            ahead = place.copy()
            ahead[number // 2] = (ahead[number // 2] + step) % extents[number // 2]
            ends = (int(np.ravel_multi_index(tuple(each), extents)) for each in (place, ahead))
            yield *ends, int(links.messages[tuple(place)])


@st.composite
def damages(draw):
    extents = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    wrap = tuple(draw(st.booleans()) for _ in extents)
    total = math.prod(extents)
    dead = draw(st.sets(st.integers(0, total - 1), max_size=min(3, total - 1)))
    numbers = np.arange(total).reshape(extents)
    neighbours = sorted(
        {
            (int(a), int(b))
            for axis in range(len(extents))
            for a, b in zip(
                numbers.take(range(extents[axis] - 1), axis=axis).ravel(),
                numbers.take(range(1, extents[axis]), axis=axis).ravel(),
                strict=True,
            )
        }
    )
    links = draw(st.sets(st.sampled_from(neighbours), max_size=3)) if neighbours else set()
    node = st.integers(0, total - 1)
    pairs = draw(st.lists(st.tuples(node, node), min_size=1, max_size=20))
    return extents, wrap, dead, links, pairs


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages())
def test_messages_go_from_their_source_to_their_destination_over_nothing_dead(machine_of, case):
    extents, wrap, dead, links, pairs = case
    machine = damaged(machine_of(*extents, wrap=wrap), nodes=sorted(dead), links=sorted(links))
    graph = live_graph(machine)
    pairs = [(a, b) for a, b in pairs if a in graph and b in distances(graph, a)]
    src, dst = (np.array(ends, np.int64) for ends in (zip(*pairs, strict=True) if pairs else ((), ())))
    routes = Torus.of(machine).routes(src, dst)
    surplus = np.zeros(math.prod(extents), np.int64)
    crossed = 0
    for leaves, enters, messages in crossings(routes, extents):
        assert enters in graph[leaves]
        surplus[leaves] += messages
        surplus[enters] -= messages
        crossed += messages
    sent, received = (np.bincount(ends, minlength=len(surplus)) for ends in (src, dst))
    assert (surplus == sent - received).all()
    assert crossed == routes.hops.sum()
    for a, b, hops in zip(src.tolist(), dst.tolist(), routes.hops.tolist(), strict=True):
        assert hops >= distances(graph, a)[b]


def test_messages_that_meet_nothing_dead_go_as_on_a_whole_network(machine_of, pattern):
    whole = machine_of(6, 5, 4)
    everyone = np.arange(whole.nodes)
    healthy = Torus.of(whole).routes(everyone, pattern("random", whole.nodes))
    hurt = Torus.of(damaged(whole, links=[(0, 1)])).routes(everyone, pattern("random", whole.nodes))
    assert (hurt.hops != healthy.hops).sum() <= healthy.links[4].messages[0, 0, 0] + healthy.links[5].messages[0, 0, 1]
    for mine, other in zip(hurt.links, healthy.links, strict=True):
        assert (mine.messages != other.messages).mean() < 0.2


def test_another_order_of_axes_costs_no_hops(machine_of):
    # (0, 0) to (2, 2) goes along x first, over the dead (1, 0); along y first it does not.
    machine = damaged(machine_of(3, 3, wrap=False), nodes=[3])
    routes = Torus.of(machine).routes(np.array([0]), np.array([8]))
    assert routes.hops.tolist() == [4]
    assert routes.links[2].messages[0].tolist() == [1, 1, 0]
    assert routes.links[0].messages[:, 2].tolist() == [1, 1, 0]


def test_a_message_along_a_line_steps_aside(machine_of):
    machine = damaged(machine_of(5, 3, wrap=False), links=[(6, 3)])
    assert Torus.of(machine).routes(np.array([0]), np.array([12])).hops.tolist() == [6]


def test_the_far_way_round_a_ring_is_found(machine_of):
    machine = damaged(machine_of(8), nodes=[1])
    assert Torus.of(machine).routes(np.array([0, 2]), np.array([2, 0])).hops.tolist() == [6, 6]


def test_a_destination_that_is_cut_off_is_an_error_that_names_both_nodes(machine_of):
    torus = Torus.of(damaged(machine_of(5, wrap=False), links=[(2, 3)]))
    with pytest.raises(MachineError, match="no way from node 1 to node 4"):
        torus.routes(np.array([0, 1]), np.array([2, 4]))


def test_a_dead_node_gets_no_messages(machine_of):
    torus = Torus.of(damaged(machine_of(4, 4), nodes=[5]))
    with pytest.raises(MachineError, match="no way from node 0 to node 5"):
        torus.routes(np.array([0]), np.array([5]))


def test_devices_are_named_by_their_nodes_in_errors(machine_of):
    machine = machine_of(4, wrap=False, devices=2, peer_bandwidth_bytes_per_s=1.0)
    with pytest.raises(MachineError, match="no way from node 0 to node 3"):
        Torus.of(damaged(machine, nodes=[1])).routes(np.array([1]), np.array([6]))


def test_dead_nodes_are_in_no_job(machine_of):
    torus = Torus.of(damaged(machine_of(4, 4, wrap=False), nodes=[1, 6]))
    assert torus.count == 14
    assert sorted(torus.nodes.tolist()) == [node for node in range(16) if node not in (1, 6)]
    for nodes in range(1, 15):
        part = torus.allocate(nodes)
        assert len(set(part.nodes.tolist()) - {1, 6}) == len(part.nodes) == nodes
        assert math.prod(part.extents) <= 16
    with pytest.raises(MachineError, match="15 of 14 nodes"):
        torus.allocate(15)


def test_a_shape_is_moved_to_where_nothing_is_dead(machine_of):
    torus = Torus.of(damaged(machine_of(4, 6), nodes=[8]))
    part = torus.allocate(8, shape=(4, 2))
    assert part.origin == ()
    assert sorted(part.nodes.tolist()) == [0, 1, 6, 7, 12, 13, 18, 19]
    part = torus.allocate(9, shape=(3, 3))
    assert sorted(part.nodes.tolist()) == [3, 4, 5, 9, 10, 11, 15, 16, 17]
    assert part.coordinates(part.nodes).T.tolist() == list(map(list, itertools.product(range(3), range(3))))
    with pytest.raises(MachineError, match=r"dead nodes .* shape 4x5"):
        torus.allocate(20, shape=(4, 5))


def test_messages_of_a_box_that_was_moved_stay_in_it(machine_of):
    part = Torus.of(damaged(machine_of(4, 6), nodes=[8, 10])).allocate(8, shape=(2, 4))
    assert part.origin == (2, 0)
    routes = part.routes(np.array([12]), np.array([21]))
    assert routes.hops.tolist() == [4]
    assert all(links.messages.shape == (2, 4) for links in routes.links)


def test_a_part_of_a_box_that_was_moved_lies_in_it(machine_of):
    part = Torus.of(damaged(machine_of(4, 6), nodes=[8])).allocate(9, shape=(3, 3))
    assert part.allocate(4, shape=(2, 2)).nodes.tolist() == [3, 4, 9, 10]
    assert sorted(part.allocate(6).nodes.tolist()) == [3, 4, 5, 9, 10, 11]
    assert part.allocate(6).axes[0].wrap is False


def test_a_dead_node_beside_a_box_does_not_matter_to_it(machine_of):
    part = Torus.of(damaged(machine_of(4, 6), nodes=[23])).allocate(4, shape=(2, 2))
    assert part.routes(np.array([0]), np.array([7])).hops.tolist() == [2]


def test_a_dead_link_over_the_border_breaks_the_wrap(machine_of):
    torus = Torus.of(damaged(machine_of(6), links=[(5, 0)]))
    assert torus.routes(np.array([0, 5]), np.array([5, 0])).hops.tolist() == [5, 5]


def test_traffic_of_fugaku_goes_around_dead_nodes(fugaku):
    dead = (0, 1_000, 100_000)
    tofu = Tofu.of(damaged(fugaku, nodes=dead))
    nodes = tofu.nodes
    routes, whole = (each.routes(nodes, np.roll(nodes, 1)) for each in (tofu, Tofu.of(fugaku)))
    places = np.unravel_index(dead, tofu.extents)
    assert (routes.hops >= whole.hops).all()
    assert not any(links.messages[places].any() for links in routes.links)
