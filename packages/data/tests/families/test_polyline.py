import numpy as np
from fujimi_data.families.polyline import draw_closed_polyline
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw

ROWS, COLUMNS = 24, 31
Points = list[tuple[int, int]]
# around the picture, and far outside of it
COORDINATE = st.one_of(st.integers(-8, 40), st.integers(-3000, 3000))


def ours(points: Points) -> NDArray[np.uint8]:
    picture = np.zeros((ROWS, COLUMNS), dtype=np.uint8)
    x, y = np.array(points, dtype=np.int32).T.copy()
    draw_closed_polyline(picture, x, y, 200)
    return picture


def pillows(points: Points) -> NDArray[np.uint8]:
    image = Image.new("L", (COLUMNS, ROWS))
    drawing = ImageDraw.Draw(image)
    for start, end in zip(points, [*points[1:], points[0]], strict=True):
        drawing.line([start, end], fill=200, width=1)
    return np.asarray(image)


@settings(max_examples=300)
@given(st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=12))
@example([(3, 4)])
@example([(-300_000, 11), (400_000, 13)])
@example([(5, 350_000), (20, -350_000)])
@example([(-360_000, -359_990), (350_000, 350_000)])
@example([(3, 4), (3, 4)])
@example([(0, 0), (4, 2), (8, 0)])
@example([(0, 0), (COLUMNS - 1, ROWS - 1)])
def test_lines_are_those_of_pillow(points: Points) -> None:
    assert np.array_equal(ours(points), pillows(points))


def test_every_slope_is_that_of_pillow() -> None:
    for x in range(-11, 12):
        for y in range(-11, 12):
            points = [(15, 12), (15 + x, 12 + y)]
            assert np.array_equal(ours(points), pillows(points)), points
