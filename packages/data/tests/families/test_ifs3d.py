import math

import numpy as np
import pytest
from fujimi_data.families.ifs3d import draw_cloud, draw_cloud_in_colour, fill_cloud, normalise, probabilities, project
from fujimi_data.families.keys import class_key
from fujimi_data.threefry import words
from numpy.typing import NDArray

KEY = class_key(1, 2)
RANDOM = np.random.default_rng(0)
MAPS = RANDOM.uniform(-0.6, 0.6, (3, 12)).astype(np.float32)
LIMITS = np.array([2**30, 3 * 2**30], dtype=np.uint32)


def cloud(count: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    points, chosen = np.empty((3, count), dtype=np.float32), np.empty(count, dtype=np.uint8)
    fill_cloud(MAPS, LIMITS, *KEY, np.uint32(7), np.uint32(11), points, chosen)
    return points, chosen


def ball(count: int) -> NDArray[np.float32]:
    """Points that a camera sees all of, wherever it is."""
    directions = RANDOM.normal(size=(3, count))
    radii = RANDOM.uniform(0, 1.4, count)
    return (directions / np.linalg.norm(directions, axis=0) * radii).astype(np.float32)


def seen_through_matrices(
    points: NDArray[np.float32], heading: float, height: float, pixels: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows from above, by the matrices of a textbook: ``lookAt`` and ``perspective``."""
    level = math.sqrt(1 - height**2)
    ahead = np.array([level * math.cos(heading), height, level * math.sin(heading)])
    side = np.cross(ahead, [0.0, 1.0, 0.0])
    side /= np.linalg.norm(side)
    eye = -4 * ahead
    rotation = np.array([side, np.cross(side, ahead), -ahead])
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = rotation, -rotation @ eye
    near, far, cot = 1.0, 100.0, 1 / math.tan(math.radians(45) / 2)
    perspective = np.zeros((4, 4))
    perspective[0, 0] = perspective[1, 1] = cot
    perspective[2, 2], perspective[2, 3] = -(far + near) / (far - near), -2 * far * near / (far - near)
    perspective[3, 2] = -1.0
    clip = perspective @ view @ np.concatenate([points.astype(float), np.ones((1, points.shape[1]))])
    device = clip[:3] / clip[3]
    outside = (np.abs(device) > 1).any(axis=0)
    device[:, outside] = np.nan
    return (device[0] + 1) / 2 * pixels, (1 - device[1]) / 2 * pixels


def test_probabilities_are_those_of_the_determinants() -> None:
    maps = RANDOM.uniform(-1, 1, (5, 12))
    sizes = np.abs(np.linalg.det(maps[:, :9].reshape(5, 3, 3)))
    assert np.allclose(probabilities(maps), sizes / sizes.sum(), rtol=1e-12)


def test_eight_orbits_take_turns_bit_by_bit() -> None:
    points, chosen = cloud(80)
    drawn = words(KEY, stream=7, first=11, pairs=40).T.reshape(-1)
    assert chosen.tolist() == [int(sum(word >= limit for limit in LIMITS)) for word in drawn]
    places = [np.zeros(3, dtype=np.float32)] * 8
    for i in range(80):
        m = MAPS[chosen[i]]
        x, y, z = places[i]
        places.append(np.array([m[3 * r] * x + m[3 * r + 1] * y + m[3 * r + 2] * z + m[9 + r] for r in range(3)]))
    assert np.array_equal(points.T, np.array(places[8:]))


def test_maps_are_chosen_as_often_as_their_shares_of_the_words() -> None:
    chosen = cloud(40_000)[1]
    assert np.allclose(np.bincount(chosen) / 40_000, [0.25, 0.5, 0.25], atol=5 * 0.5 / 200)


def test_a_cloud_has_the_moments_of_its_system() -> None:
    # mean m of the invariant measure: m = sum of p_j (A_j m + t_j)
    shares = np.array([0.25, 0.5, 0.25])
    matrix = np.einsum("j,jab->ab", shares, MAPS[:, :9].reshape(3, 3, 3).astype(float))
    mean = np.linalg.solve(np.eye(3) - matrix, shares @ MAPS[:, 9:])
    assert np.allclose(cloud(200_000)[0].mean(axis=1), mean, atol=0.01)


def test_coordinates_span_two_around_their_mean() -> None:
    points, _ = cloud(1000)
    before = points.astype(float)
    least = normalise(points)
    scale = 2 / (before.max() - before.min())
    assert np.allclose(points, (before - before.mean(axis=1, keepdims=True)) * scale, atol=1e-6)
    assert np.isclose(least, (before * scale).var(axis=1).min(), rtol=1e-5)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (1, 500), (2, 999)])
def test_a_cloud_that_overflows_has_no_variance_and_no_points(wrong: float, place: tuple[int, int]) -> None:
    points, _ = cloud(1000)
    points[place] = wrong
    assert normalise(points) == 0.0
    assert np.isnan(points).all()


@pytest.mark.parametrize("far", [2e6, -2e6, 1e30])
def test_a_cloud_that_diverges_has_no_variance_but_is_scaled(far: float) -> None:
    points, _ = cloud(1000)
    points[1, 500] = far
    assert normalise(points) == 0.0
    assert np.isclose(np.ptp(points[1]), 2.0)


def test_a_single_point_has_no_variance() -> None:
    assert normalise(np.full((3, 100), 0.7, dtype=np.float32)) == 0.0


@pytest.mark.parametrize(("heading", "height"), [(0.0, 0.0), (2.5, 0.3), (-1.0, -0.99), (4.0, 0.999)])
@pytest.mark.parametrize("pixels", [224, 1000])
def test_points_are_where_a_textbook_s_matrices_put_them(heading: float, height: float, pixels: int) -> None:
    # some behind the camera, before its nearest plane and beside the picture
    points = np.concatenate([ball(5000), 3 * ball(5000)], axis=1)
    places = np.empty(10_000, dtype=np.int32)
    project(points, heading, height, pixels, places)
    columns, rows = seen_through_matrices(points, heading, height, pixels)
    expected = np.where(
        np.isnan(columns), pixels**2, np.floor(np.nan_to_num(rows)) * pixels + np.nan_to_num(columns // 1)
    )
    # a point on the edge of two pixels may lie in either
    assert (places != expected).mean() < 0.002
    assert 0.1 < (places == pixels**2).mean() < 0.6


def test_straight_up_and_down_a_picture_is_drawn_too() -> None:
    points = ball(5000)
    for height in (-1.0, 1.0):
        assert 2000 < (draw_cloud(points, 1.0, height, 224) > 0).sum() < 5000


def test_pixels_with_points_are_white_and_no_others() -> None:
    points = ball(300)
    columns, rows = seen_through_matrices(points, 0.4, 0.5, 64)
    expected = np.zeros((64, 64), dtype=np.uint8)
    expected[rows.astype(int), columns.astype(int)] = 255
    picture = draw_cloud(points, 0.4, 0.5, 64)
    assert (picture != expected).sum() <= 2
    assert picture.shape == (64, 64)


def test_points_that_are_not_numbers_are_not_drawn() -> None:
    assert not draw_cloud(np.full((3, 16), np.nan, dtype=np.float32), 0.4, 0.5, 64).any()


def test_in_colour_the_same_pixels_are_drawn() -> None:
    points, chosen = ball(3000), RANDOM.integers(0, 3, 3000).astype(np.uint8)
    colours = np.full((3, 3), 255, dtype=np.uint8)
    picture = draw_cloud_in_colour(points, chosen, colours, 0.4, 0.5, 224)
    assert np.array_equal(picture.any(axis=2), draw_cloud(points, 0.4, 0.5, 224) > 0)


def test_the_nearest_point_of_a_pixel_is_seen_and_far_ones_are_darker() -> None:
    # the camera looks along x: the first points are behind the others
    points = np.array([[1.2, -1.2, 1.2], [0, 0, 0.5], [0, 0, 0.5]], dtype=np.float32)
    colours = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 200]], dtype=np.uint8)
    for order in ([0, 1, 2], [2, 1, 0]):
        picture = draw_cloud_in_colour(points[:, order].copy(), np.array(order, dtype=np.uint8), colours, 0.0, 0.0, 64)
        lit = picture[picture.any(axis=2)]
        assert sorted(lit.tolist()) == [[0, 0, 200 * 80 // 300], [0, 255, 0]]
