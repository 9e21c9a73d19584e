"""Order of nodes that wait for each other, and what is left of it without some of them."""

import pytest
from fujimi_sim.chakra.dependencies import bypass, ordered
from hypothesis import given
from hypothesis import strategies as st


@st.composite
def graphs(draw: st.DrawFn) -> dict[int, list[int]]:
    """Nodes by a random number, each waiting for some that were drawn before."""
    numbers = draw(st.lists(st.integers(0, 50), unique=True, max_size=12))
    return {number: draw(st.lists(st.sampled_from(numbers[:index]), unique=True)) if index else []
            for index, number in enumerate(numbers)}  # fmt: skip


@given(graphs())
def test_nothing_comes_before_what_it_waits_for(waits: dict[int, list[int]]) -> None:
    found = ordered(waits)
    assert sorted(found) == sorted(waits)
    assert all(found.index(other) < found.index(node) for node, others in waits.items() for other in others)


def test_nodes_that_wait_for_each_other_are_named() -> None:
    with pytest.raises(ValueError, match="nodes 1, 2 wait for each other"):
        ordered({0: [], 1: [0, 2], 2: [1]})


def reachable(waits: dict[int, list[int]], node: int) -> set[int]:
    found: set[int] = set()
    left = list(waits[node])
    while left:
        found.add(each := left.pop())
        left += waits[each]
    return found


@given(graphs(), st.sets(st.integers(0, 50)))
def test_those_that_stay_wait_for_the_same_others(waits: dict[int, list[int]], left_out: set[int]) -> None:
    kept = bypass(waits, left_out)
    assert set(kept) == set(waits) - left_out
    assert all(reachable(kept, node) == reachable(waits, node) - left_out for node in kept)
