"""Slices of a mesh against loops over its ranks."""

import itertools

import numpy as np
import pytest
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Event, Recv, Role, Send
from fujimi_sim.slices import circles, neighbours, unchained
from hypothesis import given
from hypothesis import strategies as st

MESH = Mesh.of(pp=3, dp=2, tp=2)


@given(
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    offset=st.integers(-4, 4),
    data=st.data(),
)
def test_neighbour_has_the_same_coordinates_but_one(shape: list[int], offset: int, data: st.DataObject) -> None:
    mesh = Mesh.of(**dict(zip("abc", shape, strict=False)))
    axis = data.draw(st.sampled_from(mesh.names))
    rank_at = {tuple(mesh.coordinates(rank).values()): rank for rank in range(mesh.world_size)}
    expected = []
    for rank in range(mesh.world_size):
        there = {name: at + offset * (name == axis) for name, at in mesh.coordinates(rank).items()}
        expected.append(rank_at.get(tuple(there.values()), -1))
    assert neighbours(mesh, np.arange(mesh.world_size), axis=axis, offset=offset).tolist() == expected


def role(name: str, *events: Event, **where: tuple[int, int]) -> Role:
    return Role(name=name, where=where, events=events)


STAGES = [role("first", pp=(0, 1)), role("middle", pp=(1, 2)), role("last", pp=(2, 3))]


@pytest.mark.parametrize(
    ("axes", "expected"),
    [
        (["dp"], [{0}, {1}, {2}]),
        (["tp", "dp"], [{0}, {1}, {2}]),
        (["pp"], [{0, 1, 2}] * 3),
        (["dp", "pp"], [{0, 1, 2}] * 3),
        ([], [{0}, {1}, {2}]),
    ],
)
def test_stages_share_groups_along_the_pipeline_only(axes: list[str], expected: list[set[int]]) -> None:
    assert circles(MESH, STAGES, axes) == expected


def test_roles_share_groups_through_others_too() -> None:
    # along tp the first role meets the second in dp 0 and the third in dp 1; the fourth stands alone
    roles = [
        role("a", pp=(0, 1), tp=(0, 1)),
        role("b", pp=(0, 1), tp=(1, 2), dp=(0, 1)),
        role("c", pp=(0, 1), tp=(1, 2), dp=(1, 2)),
        role("d", pp=(1, 3)),
    ]
    assert circles(MESH, roles, ["tp"]) == [{0, 1, 2}] * 3 + [{3}]
    assert circles(MESH, roles, ["dp"]) == [{0}, {1, 2}, {1, 2}, {3}]


@given(cuts=st.lists(st.integers(1, 5), max_size=3, unique=True), axes=st.sets(st.sampled_from(["a", "b"])))
def test_circles_are_those_of_the_groups_of_ranks(cuts: list[int], axes: set[str]) -> None:
    mesh = Mesh.of(a=6, b=2)
    ends = [0, *sorted(cuts), 6]
    roles = [role(f"{low}{b}", a=(low, high), b=(b, b + 1)) for low, high in itertools.pairwise(ends) for b in (0, 1)]
    expected = [{index} for index in range(len(roles))]
    members = [set(mesh.slice(each.where).tolist()) for each in roles]
    for _ in roles:  # long enough for every chain of groups
        for group in mesh.groups(axes).tolist():
            together = set().union(*(expected[i] for i, ranks in enumerate(members) if ranks & set(group)))
            expected = [together if i in together else circle for i, circle in enumerate(expected)]
    assert circles(mesh, roles, axes) == expected


def test_role_whose_ranks_wait_for_one_another_is_split_along_that_axis() -> None:
    chain = (Recv(nbytes=1, axis="pp", offset=-1), Send(nbytes=1, axis="pp", offset=1))
    parts = unchained(MESH, [role("all", *chain, tp=(0, 1))])
    assert [(part.name, part.where) for part in parts] == [
        (f"all, pp {at}", {"tp": (0, 1), "pp": (at, at + 1)}) for at in range(3)
    ]
    assert all(part.events == chain for part in parts)


def test_role_is_split_along_every_axis_on_which_it_is_a_chain() -> None:
    events = (Recv(nbytes=1, axis="pp", offset=-1), Recv(nbytes=1, axis="tp", offset=1))
    assert len(unchained(MESH, [role("all", *events)])) == 6


@pytest.mark.parametrize(
    "whole",
    [
        role("sends", Send(nbytes=1, axis="pp", offset=1)),
        role("one stage", Recv(nbytes=1, axis="pp", offset=-1), pp=(1, 2)),
        role("far", Recv(nbytes=1, axis="pp", offset=-2), pp=(0, 2)),
        role("across", Recv(nbytes=1, axis="dp", offset=-2)),
    ],
)
def test_role_whose_ranks_do_not_wait_for_one_another_stays_whole(whole: Role) -> None:
    assert unchained(MESH, [whole]) == [whole]
