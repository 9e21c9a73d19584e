import math
from collections import Counter

import numpy as np
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Routes
from fujimi_sim.network.packet_network import links_on_route
from fujimi_sim.network.routes import route as route_at
from fujimi_sim.network.routes import signed_distance, together
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def traffic(draw):
    extents = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    axes = tuple(NetworkAxis(name=f"d{i}", extent=extent, wrap=draw(st.booleans())) for i, extent in enumerate(extents))
    node = st.integers(0, math.prod(extents) - 1)
    pairs = draw(st.lists(st.tuples(node, node), min_size=1, max_size=30))
    src, dst = (np.stack(np.unravel_index(list(nodes), extents)) for nodes in zip(*pairs, strict=True))
    return axes, src, dst


def route(src, dst, axes):
    return route_at(src, dst, axes, bandwidth_bytes_per_s=1.0)


def by_link(routes: Routes) -> Counter:
    counted = Counter()
    for number, links in enumerate(routes.links):
        axis, direction = number // 2, -1 if number % 2 else 1
        messages = links.messages
        counted.update(
            {(tuple(map(int, at)), axis, direction): int(messages[tuple(at)]) for at in np.argwhere(messages)}
        )
    return counted


@settings(max_examples=150, deadline=None)
@given(traffic())
def test_every_link_has_the_messages_that_a_router_sends_over_it_one_by_one(case):
    axes, src, dst = case
    one_by_one = Counter(
        link
        for start, stop in zip(src.T, dst.T, strict=True)
        for link in links_on_route(tuple(start), tuple(stop), axes)
    )
    assert by_link(route(src, dst, axes)) == one_by_one


@settings(max_examples=100, deadline=None)
@given(traffic())
def test_links_carry_as_many_messages_as_messages_make_hops(case):
    axes, src, dst = case
    loads = route(src, dst, axes)
    apart = np.abs(dst - src)
    shortest = [np.minimum(d, a.extent - d) if a.wrap else d for d, a in zip(apart, axes, strict=True)]
    assert loads.hops.tolist() == np.sum(shortest, axis=0).tolist()
    assert sum(int(each.messages.sum()) for each in loads.links) == loads.hops.sum()


@settings(max_examples=100, deadline=None)
@given(traffic())
def test_no_message_crosses_the_border_of_an_axis_that_does_not_wrap(case):
    axes, src, dst = case
    loads = route(src, dst, axes)
    for position, axis in enumerate(axes):
        if not axis.wrap:
            forward, backward = loads.links[2 * position : 2 * position + 2]
            assert not forward.messages.take(-1, axis=position).any()
            assert not backward.messages.take(0, axis=position).any()


@settings(max_examples=50, deadline=None)
@given(traffic(), st.integers(0, 30))
def test_messages_can_be_routed_in_slices(case, cut):
    axes, src, dst = case
    whole = route(src, dst, axes)
    slices = together([route(src[:, each], dst[:, each], axes) for each in (slice(cut), slice(cut, None))])
    assert by_link(slices) == by_link(whole)
    assert slices.hops.tolist() == whole.hops.tolist()


def test_a_tie_goes_forward():
    ring = NetworkAxis(name="x", extent=6, wrap=True)
    assert signed_distance(np.array([0, 5, 1]), np.array([3, 2, 4]), ring).tolist() == [3, 3, 3]


def test_the_first_axis_is_routed_first():
    axes = (NetworkAxis(name="x", extent=3, wrap=False), NetworkAxis(name="y", extent=3, wrap=False))
    loads = route(np.array([[0], [0]]), np.array([[1], [1]]), axes)
    assert by_link(loads) == {((0, 0), 0, 1): 1, ((1, 0), 1, 1): 1}


def test_links_are_named_by_axis_and_direction():
    axes = (NetworkAxis(name="x", extent=4, wrap=False), NetworkAxis(name="y", extent=2, wrap=False))
    routes = route(np.array([[3, 2], [0, 0]]), np.array([[0, 0], [0, 0]]), axes)
    assert {each.name: int(each.messages.max()) for each in routes.links} == {"+x": 0, "-x": 2, "+y": 0, "-y": 0}
