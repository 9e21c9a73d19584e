"""Meshes that are found from groups alone, and slices of ranks that do the same."""

import math

import numpy as np
import pytest
from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Axis, Mesh
from fujimi_sim.chakra.meshes import axes_along, boxes, mesh_of, step_along
from hypothesis import given
from hypothesis import strategies as st

extents = st.lists(st.integers(2, 4), min_size=1, max_size=4)


def mesh_with(shape: list[int]) -> Mesh:
    return Mesh(axes=tuple(Axis(name=f"a{index}", extent=extent) for index, extent in enumerate(shape)))


@given(extents, st.data())
def test_groups_of_any_mesh_are_slices_of_the_one_that_is_found(shape: list[int], data: st.DataObject) -> None:
    mesh = mesh_with(shape)
    chosen = data.draw(st.lists(st.sets(st.sampled_from(mesh.names), min_size=1), max_size=3))
    groups = [group for axes in chosen for group in mesh.groups(axes).tolist()]
    found = mesh_of(mesh.world_size, groups)
    assert found.world_size == mesh.world_size
    for group in groups:
        assert group in found.groups(axes_along(found, group)).tolist()


def test_ranks_without_groups_lie_in_one_row() -> None:
    assert mesh_of(6, []).shape == (6,)
    assert mesh_of(1, []).shape == (1,)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([[0, 1, 3]], "offsets 0, 1, 3 are a group, but no slice of any mesh"),
        ([[0, 1], [0, 3]], "blocks of 1, 2, 3, 6, 12 ranks would have to divide each other"),
    ],
)
def test_groups_of_no_mesh_are_refused(groups: list[list[int]], message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        mesh_of(12, groups)


def test_part_of_an_axis_is_no_group() -> None:
    with pytest.raises(WorkloadError, match="ranks 0, 1 are a group, but no slice of the mesh a0 3"):
        axes_along(mesh_with([3]), [0, 1])


def test_message_goes_along_one_axis() -> None:
    mesh = mesh_with([2, 3])
    assert step_along(mesh, 1, 4) == ("a0", 1)
    assert step_along(mesh, 2, 0) == ("a1", -2)
    for other, why in ((3, "differs along a0 and a1"), (1, "is the same rank")):
        with pytest.raises(WorkloadError, match=f"rank 1 sends to rank {other}, which {why}"):
            step_along(mesh, 1, other)


@given(extents, st.data())
def test_slices_of_equal_ranks_cover_each_rank_once(shape: list[int], data: st.DataObject) -> None:
    mesh = mesh_with(shape)
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=math.prod(shape), max_size=math.prod(shape))))
    found = np.full(mesh.world_size, -1)
    for label, where in boxes(mesh, labels):
        ranks = mesh.slice(where)
        assert (found[ranks] == -1).all()
        found[ranks] = label
    assert (found == labels).all()


def test_slice_is_as_large_as_can_be() -> None:
    mesh = mesh_with([2, 4])
    labels = np.array([0, 1, 1, 0] * 2)
    assert list(boxes(mesh, labels)) == [
        (0, {"a0": (0, 2), "a1": (0, 1)}),
        (1, {"a0": (0, 2), "a1": (1, 3)}),
        (0, {"a0": (0, 2), "a1": (3, 4)}),
    ]
