"""Meshes: ranks, coordinates, groups and slices of any shape."""

import numpy as np
import pytest
from fujimi_core.mesh import Axis, Mesh
from hypothesis import given
from hypothesis import strategies as st

NAMES = ["pp", "dp", "cp", "tp"]
meshes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(
    lambda extents: Mesh.of(**dict(zip(NAMES, extents, strict=False)))
)


@given(mesh=meshes, data=st.data())
def test_rank_is_the_mixed_radix_number_of_its_coordinates(mesh: Mesh, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, mesh.world_size - 1))
    number = 0
    for name, extent in zip(mesh.names, mesh.shape, strict=True):
        number = number * extent + mesh.coordinates(rank)[name]
    assert number == rank


@given(mesh=meshes, data=st.data())
def test_groups_hold_every_rank_once_and_differ_only_along_their_axes(mesh: Mesh, data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.sampled_from(mesh.names), unique=True))
    groups = mesh.groups(axes)
    assert sorted(groups.flat) == list(range(mesh.world_size))
    for group in groups:
        assert (np.diff(group) > 0).all()
        outside = [{n: at for n, at in mesh.coordinates(int(rank)).items() if n not in axes} for rank in group]
        assert all(each == outside[0] for each in outside)


@given(mesh=meshes, data=st.data())
def test_slice_holds_the_ranks_whose_coordinates_are_inside(mesh: Mesh, data: st.DataObject) -> None:
    axis = data.draw(st.sampled_from(mesh.names))
    extent = mesh.shape[mesh.index(axis)]
    start = data.draw(st.integers(0, extent - 1))
    stop = data.draw(st.integers(start + 1, extent))
    inside = [rank for rank in range(mesh.world_size) if start <= mesh.coordinates(rank)[axis] < stop]
    assert mesh.slice({axis: (start, stop)}).tolist() == inside


def test_order_and_repetition_of_axes_do_not_matter_to_groups() -> None:
    mesh = Mesh.of(pp=2, dp=3, tp=4)
    assert mesh.groups(["tp", "pp"]).tolist() == mesh.groups(["pp", "tp", "tp"]).tolist()


def test_mesh_of_the_whole_of_fugaku_is_a_matter_of_arithmetic() -> None:
    mesh = Mesh.of(dp=288, pp=8, tp=69)
    assert mesh.world_size == 158_976
    assert mesh.groups(["dp"]).shape == (8 * 69, 288)
    assert mesh.coordinates(158_975) == {"dp": 287, "pp": 7, "tp": 68}


def test_mesh_without_axes_has_one_rank() -> None:
    assert Mesh.of().coordinates(0) == {}
    assert Mesh.of().groups([]).tolist() == [[0]]


@pytest.mark.parametrize("extent", [0, -3])
def test_axis_without_ranks_is_refused_by_name(extent: int) -> None:
    with pytest.raises(ValueError, match=f"mesh axis 'dp' has extent {extent}; at least 1 is needed"):
        Mesh.of(dp=extent)


def test_two_axes_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="different names"):
        Mesh(axes=(Axis(name="dp", extent=2), Axis(name="dp", extent=3)))


def test_unknown_axis_is_named_beside_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"Unknown mesh axis: 'ddp'\. Known: dp, tp\. Did you mean 'dp'\?"):
        Mesh.of(dp=2, tp=2).groups(["ddp"])


@pytest.mark.parametrize("rank", [-1, 6])
def test_rank_outside_the_mesh_is_refused(rank: int) -> None:
    with pytest.raises(ValueError, match=f"rank {rank} is not in a mesh of 6 ranks"):
        Mesh.of(dp=2, tp=3).coordinates(rank)


@pytest.mark.parametrize("interval", [(0, 0), (2, 1), (-1, 1), (0, 3)])
def test_slice_outside_an_axis_is_refused_with_its_extent(interval: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="is not an interval of axis 'dp', extent 2"):
        Mesh.of(dp=2).slice({"dp": interval})
