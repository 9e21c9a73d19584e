import csv
import random
from colorsys import hsv_to_rgb
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.fractaldb import render
from fujimi_data.families.fractaldb_instances import weight_rows
from fujimi_data.families.fractaldb_reference import drawn, patch_masks, reference_drawing
from fujimi_data.families.ifs_orbit import System, choose, orbit_places
from fujimi_data.families.ifs_picture import picture_of, played_grid
from fujimi_data.families.keys import class_key
from numpy.typing import NDArray
from PIL import Image

PUBLISHED = Path(__file__).parent.parent / "data" / "fractaldb_categories.csv"


def category(number: int) -> System:
    with PUBLISHED.open() as file:
        rows = [row for row in csv.DictReader(file) if int(row["category"]) == number]
    return np.array([[float(row[name]) for name in "abcdefp"] for row in rows])


def slow_points(system: System, points: int) -> list[tuple[float, float]]:
    """The definition, point by point."""
    x = y = 0.0
    visited = [(x, y)]
    bounds = np.cumsum(system[:, 6]).tolist()
    for uniform in np.random.RandomState(100).random_sample(points)[:-1].tolist():
        for (a, b, c, d, e, f, _), bound in zip(system.tolist(), bounds, strict=True):
            if uniform <= bound:
                x, y = x * a + y * b + e, x * c + y * d + f
                break
        visited.append((x, y))
    return visited


def slow_picture(
    system: System, *, masks: int, points: int, pixels: int, draw: str, colours: list[tuple[int, ...]]
) -> Image.Image:
    """The definition with Pillow; colours are taken in turn."""
    xs, ys = np.array(slow_points(system, points)).T
    columns, rows = (
        ((values - values.min()) / np.ptp(values) * (pixels - 12) + 6).astype(int).tolist() for values in (xs, ys)
    )
    image, source = Image.new("RGB", (pixels, pixels)), random.Random(masks)
    for number, place in enumerate(zip(columns, rows, strict=True)):
        colour = colours[number % len(colours)]
        if draw == "point":
            image.putpixel(place, colour)
            continue
        mask = f"{source.randrange(1, 512):09b}"
        patch = np.array([[int(bit)] * 3 for bit in mask], dtype=np.uint8) * np.array(colour, dtype=np.uint8)
        image.paste(Image.fromarray(patch.reshape(3, 3, 3)), (place[0] + 1, place[1] + 1))
    return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)


@pytest.mark.parametrize(
    ("number", "row", "pattern", "pixels", "draw"),
    [(0, 2, 0, 362, "patch"), (1, 7, 9, 100, "patch"), (3, 24, 4, 16, "patch"), (2, 13, 0, 200, "point")],
)
def test_reference_pictures_are_those_of_the_definition(
    number: int, row: int, pattern: int, pixels: int, draw: str
) -> None:
    drawing = row * (10 if draw == "patch" else 1) + pattern
    changed = category(number)
    changed[:, :6] *= weight_rows(0.4)[row]
    expected = slow_picture(
        changed,
        masks=number * 2**32 + drawing,
        points=2000,
        pixels=pixels,
        draw=draw,
        colours=[(127, 127, 127)],
    )
    flips = [None, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180]
    for flip, how in enumerate(flips):
        picture = render(
            seed=1,
            category=number,
            instance=4 * drawing + flip,
            pixels=pixels,
            mode="reference",
            draw=draw,
            points=2000,
        )
        assert np.array_equal(picture, np.asarray(expected if how is None else expected.transpose(how))[:, :, 0])


def hues() -> list[tuple[int, int, int]]:
    """128 colours around the circle, of saturation and value 0.75; channels are stored in reverse."""
    return [tuple(int(255 * level) for level in hsv_to_rgb(i / 128, 0.75, 0.75)[::-1]) for i in range(128)]


@pytest.mark.parametrize("draw", ["patch", "point"])
def test_colours_are_taken_in_turn(draw: str) -> None:
    picture = reference_drawing(category(4), masks=3, points=1000, pixels=64, draw=draw, colour=True)
    expected = np.asarray(slow_picture(category(4), masks=3, points=1000, pixels=64, draw=draw, colours=hues()))
    # the last bit of a level is rounded otherwise
    assert np.abs(picture[::-1].astype(int) - expected).max() <= 1
    assert len(np.unique(expected.reshape(-1, 3), axis=0)) > 100


def statistics(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Lit share, and the shares of pairs of pixels, at some distances, that are both lit."""
    lit = picture > 0
    pairs = [
        (lit[rows:, columns:] & lit[: len(lit) - rows, : len(lit) - columns]).mean()
        for rows, columns in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 2), (0, 5), (10, 0))
    ]
    return np.array([lit.mean(), *pairs])


def plain_picture(system: System, seed: int) -> NDArray[np.uint8]:
    """A picture of the authors' kind, of another sequence of maps than theirs."""
    chosen = np.empty(200_000, dtype=np.uint8)
    choose(chosen, system, BulkRandom.of_numpy(seed))
    columns, rows = orbit_places(system, chosen, pixels=362)
    masks = patch_masks(BulkRandom.of_python(seed), len(columns))
    return drawn(columns, rows, masks, pixels=362, draw="patch", colour=False)


def our_picture(system: System, seed: int) -> NDArray[np.uint8]:
    grid = played_grid(system, key=class_key(seed, 0), stream=0, points=200_000, pixels=362)
    assert grid is not None
    return picture_of(grid, draw="patch", colour=False)


@pytest.mark.parametrize("number", range(8))
def test_pictures_of_many_orbits_have_the_statistics_of_those_of_one(number: int) -> None:
    system = category(number)
    ours = np.array([statistics(our_picture(system, seed)) for seed in range(12)])
    theirs = np.array([statistics(plain_picture(system, seed)) for seed in range(12)])
    assert np.abs(ours.mean(axis=0) / theirs.mean(axis=0) - 1).max() < 0.05
    error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / 11)
    assert np.abs((ours.mean(axis=0) - theirs.mean(axis=0)) / error).max() < 5


def test_flips_are_exact_mirrors() -> None:
    upright, down, left, both = (render(seed=0, category=1, instance=44 + flip, pixels=64) for flip in range(4))
    assert np.array_equal(down, upright[::-1])
    assert np.array_equal(left, upright[:, ::-1])
    assert np.array_equal(both, upright[::-1, ::-1])
    assert not np.array_equal(upright, down)


def test_patterns_and_rows_follow_each_other_and_go_on_after_a_thousand() -> None:
    pictures = {instance: render(seed=0, category=0, instance=instance, pixels=64) for instance in (80, 84, 120, 1080)}
    assert len({picture.tobytes() for picture in pictures.values()}) == 4
    # points of the same variant
    assert correlation(pictures[80], pictures[84]) > 0.5
    assert correlation(pictures[80], pictures[1080]) > 0.5


def correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    coarse = [(picture > 0).reshape(8, 8, 8, 8).mean(axis=(1, 3)).ravel() for picture in (one, other)]
    return float(np.corrcoef(*coarse)[0, 1])


def test_a_smaller_picture_is_the_same_drawing() -> None:
    large, small = (render(seed=0, category=1, instance=80, pixels=pixels) for pixels in (16 + 4 * 500, 16 + 500))
    # both have margins of 6 pixels, and patches of 3 by 3 a pixel further
    large, small = large[8:-8, 8:-8] > 0, small[8:-8, 8:-8] > 0
    near = np.pad(small, 2)
    near = np.logical_or.reduce([near[i : i + 500, j : j + 500] for i in range(5) for j in range(5)])
    lit = large.reshape(500, 4, 500, 4).any(axis=(1, 3))
    assert (lit & ~near).sum() < 0.001 * lit.sum()


def test_pictures_do_not_depend_on_threads_or_order() -> None:
    asked = list(product((3, 4), range(0, 120, 11)))

    def one(pair: tuple[int, int]) -> bytes:
        return render(seed=5, category=pair[0], instance=pair[1], pixels=48, points=5000).tobytes()

    in_order = [one(pair) for pair in asked]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, reversed(asked))) == in_order[::-1]


def test_a_picture_may_be_written_into() -> None:
    asked = {"seed": 0, "category": 0, "instance": 80, "pixels": 32}
    first = render(**asked)
    kept = first.copy()
    first[:] = 9
    assert np.array_equal(render(**asked), kept)


def test_pictures_of_variants_that_run_away_are_full_unless_they_are_wanted() -> None:
    shares = {
        reject: np.array(
            [
                (render(seed=0, category=number, instance=40 * row, pixels=362, reject_diverging=reject) > 0).mean()
                for number in range(8)
                for row in (4, 16)
            ]
        )
        for reject in (True, False)
    }
    assert (shares[False] < 0.004).sum() >= 3
    assert shares[True].min() > 0.01
    same = shares[True] == shares[False]
    assert 2 < same.sum() < 14


def test_options_change_what_is_drawn() -> None:
    asked = {"seed": 0, "category": 1, "instance": 4, "pixels": 64}
    options = ({}, {"weights": 0.1}, {"points": 1000}, {"draw": "point"}, {"fill_rate": 0.21}, {"mode": "reference"})
    pictures = [render(**asked, **option) for option in options]
    assert len({picture.tobytes() for picture in pictures}) == len(options)
    assert {picture.shape for picture in pictures} == {(64, 64)}
    assert {frozenset(picture.ravel().tolist()) for picture in pictures} == {frozenset({0, 127})}
    coloured = render(**asked, colour=True)
    assert coloured.shape == (64, 64, 3)
    assert np.array_equal(coloured.any(axis=2), pictures[0] > 0)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("seed", -1, "0 to 18446744073709551615"),
        ("category", 2**32, "0 to 4294967295"),
        ("instance", 2**32 - 1, "0 to 4294967294"),
        ("pixels", 15, "16 to 16384"),
        ("points", 0, "1 to 8388607"),
        ("points", 2**23, "1 to 8388607"),
        ("weights", 0.51, "0 to 0.5"),
        ("fill_rate", 0.0, "above 0, up to 0.25"),
        ("fill_rate", 0.3, "above 0, up to 0.25"),
    ],
)
def test_a_number_out_of_range_is_refused_by_name(name: str, value: float, allowed: str) -> None:
    arguments = {"seed": 0, "category": 0, "instance": 0, "pixels": 64, name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be.* {allowed}"):
        render(**arguments)


def test_unknown_modes_and_ways_to_draw_and_seeds_that_numpy_has_not_are_refused() -> None:
    asked = {"category": 0, "instance": 0, "pixels": 64}
    with pytest.raises(ValueError, match=r"Unknown mode: 'refrence'.*Did you mean 'reference'"):
        render(seed=0, **asked, mode="refrence")
    with pytest.raises(ValueError, match="Unknown way to draw: 'dots'"):
        render(seed=0, **asked, draw="dots")
    with pytest.raises(ValueError, match="in reference mode it must be from 0 to 4294967295"):
        render(seed=2**32, **asked, mode="reference")
