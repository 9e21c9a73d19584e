import math
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fujimi_data.families.keys import class_key
from fujimi_data.families.perlin import pnoise1 as our_pnoise1
from fujimi_data.families.program import reference_source
from fujimi_data.families.rcdb import contours_of, reference_pictures, render, view_of
from numpy.typing import NDArray
from PIL import Image, ImageDraw

try:  # a C compiler is needed to install it; without it ours, which has the same bits (test_perlin)
    from noise import pnoise1
except ImportError:

    def pnoise1(x: float) -> float:
        return float(our_pnoise1(np.float32(x)))


CLASSES = [contours_of(class_key(1, category)) for category in range(3000)]
BUSIEST = max(range(100), key=lambda category: CLASSES[category].polygons)


class Program:
    """A plain reading of the authors' ``make_rcdb.py`` with the options of ``RCDB_render.sh``."""

    def __init__(self, source: random.Random, pixels: int) -> None:
        self.random = source
        self.pixels = pixels

    def new_class(self) -> None:
        self.vertices = 0
        while not 2 < self.vertices <= 200:
            self.vertices = int(self.random.expovariate(1 / 100))
        self.polygons = self.random.randint(1, 200)
        self.noise = self.random.uniform(0, 4)
        self.gap = self.random.uniform(0.0, 0.1)
        self.radius = self.random.randint(0, 100)
        self.new_ovals()
        self.new_centre()

    def new_view(self) -> None:
        self.new_ovals()
        self.radius = self.random.randint(0, 100)
        self.new_centre()

    def new_ovals(self) -> None:
        self.oval_x, self.oval_y = self.random.uniform(1, 2), self.random.uniform(1, 2)

    def new_centre(self) -> None:
        self.centre_y = (self.pixels + self.random.randint(-400, 400)) / 2
        self.centre_x = (self.pixels + self.random.randint(-400, 400)) / 2

    def picture(self) -> NDArray[np.uint8]:
        image = Image.new("RGB", (self.pixels, self.pixels), (255, 255, 255))
        drawing = ImageDraw.Draw(image)
        angles = [math.pi * 2 / self.vertices * v for v in range(self.vertices)]
        x = [math.cos(t) * self.radius * self.oval_x for t in angles]
        y = [math.sin(t) * self.radius * self.oval_y for t in angles]
        for _ in range(self.polygons):
            grey = self.random.randint(0, self.pixels // 2)
            noise_x, noise_y = (
                [pnoise1(self.random.uniform(0, 10_000)) * self.noise * 2 - self.noise for _ in angles]
                for _ in range(2)
            )
            for v, t in enumerate(angles):
                x[v] -= math.cos(t) * (noise_x[v] - self.gap)
                y[v] -= math.sin(t) * (noise_y[v] - self.gap)
            for v in range(self.vertices):
                w = (v + 1) % self.vertices
                line = (x[v] + self.centre_x, y[v] + self.centre_y, x[w] + self.centre_x, y[w] + self.centre_y)
                drawing.line(line, fill=(grey, grey, grey), width=1)
        return np.asarray(image)[:, :, 0]


@pytest.mark.parametrize("pixels", [512, 1024])
def test_a_run_of_the_authors_program_is_repeated_pixel_by_pixel(pixels: int) -> None:
    source, authors = random.Random(3), random.Random(3)
    program = Program(authors, pixels)
    expected = []
    for _ in range(2):
        program.new_class()
        for _ in range(3):
            expected.append(program.picture())
            program.new_view()
    drawn = list(reference_pictures(source, classes=(8, 9), instances=3, pixels=pixels))
    assert [pair[:2] for pair in drawn] == [(8, 0), (8, 1), (8, 2), (9, 0), (9, 1), (9, 2)]
    for (_, _, picture), theirs in zip(drawn, expected, strict=True):
        assert np.array_equal(picture, theirs)
    assert source.getstate() == authors.getstate()


@pytest.mark.parametrize(("category", "instance", "pixels"), [(1, 0, 512), (3, 5, 300)])
def test_one_picture_in_reference_mode_is_the_authors(category: int, instance: int, pixels: int) -> None:
    program = Program(reference_source(seed=7, category=category), pixels)
    program.new_class()
    program.random = reference_source(seed=7, category=category, instance=instance)
    if instance:
        program.new_view()
    picture = render(seed=7, category=category, instance=instance, pixels=pixels, mode="reference")
    assert np.array_equal(picture, program.picture())


def test_pillow_takes_levels_beyond_255_as_255() -> None:
    image = Image.new("RGB", (4, 4))
    ImageDraw.Draw(image).line((0, 0, 4, 4), fill=(300, 256, 255))
    assert image.getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize(("name", "low", "high"), [("polygons", 1, 200), ("noise", 0, 4), ("gap", 0, 0.1)])
def test_parameters_are_uniform_over_their_range(name: str, low: float, high: float) -> None:
    values = np.array([getattr(contours, name) for contours in CLASSES], dtype=float)
    assert low <= values.min() < low + 0.03 * (high - low) + 1e-9
    assert high - 0.03 * (high - low) - 1e-9 < values.max() <= high
    steps = high - low + 1 if isinstance(getattr(CLASSES[0], name), int) else np.inf
    deviation = (high - low) * np.sqrt((1 + 2 / steps) / 12)
    assert abs(values.mean() - (low + high) / 2) < 5 * deviation / np.sqrt(len(CLASSES))


def test_vertices_are_distributed_as_the_authors_program_draws_them() -> None:
    ours = np.array([contours.vertices for contours in CLASSES])
    # int(expovariate(1 / 100)), drawn again until it is from 3 to 200
    shares = np.exp(-np.arange(3, 201) / 100) * (1 - math.exp(-0.01))
    shares /= shares.sum()
    assert (ours.min(), ours.max() <= 200) == (3, True)
    distance = np.abs(np.cumsum(np.bincount(ours, minlength=201)[3:] / len(ours)) - np.cumsum(shares)).max()
    # Kolmogorov and Smirnov's, at a level of one in a million
    assert distance < 2.7 / math.sqrt(len(ours))


def test_views_are_uniform_over_their_ranges() -> None:
    views = [view_of(CLASSES[0], class_key(1, 0), instance)[0] for instance in range(3000)]
    for name, low, high in (
        ("radius", 0, 100),
        ("oval_x", 1, 2),
        ("oval_y", 1, 2),
        ("centre_x", 56, 456),
        ("centre_y", 56, 456),
    ):
        values = np.array([getattr(view, name) for view in views])
        assert low <= values.min() < low + 0.03 * (high - low)
        assert high - 0.03 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 5 * (high - low) / math.sqrt(12 * len(views)), name


def inks(pixels: int) -> NDArray[np.uint8]:
    views = (view_of(CLASSES[BUSIEST], class_key(1, BUSIEST), i, canvas=pixels) for i in range(300))
    return np.concatenate([ink for _, ink in views])


def test_greys_are_those_of_512_pixels_whatever_the_size() -> None:
    greys = inks(512)
    assert set(greys) == set(range(256))
    # of 257 levels two are white
    assert abs((greys == 255).mean() - 2 / 257) < 5 * math.sqrt(2 / 257 / len(greys))


def test_greys_go_up_to_half_of_the_size_if_pictures_are_not_scaled() -> None:
    assert inks(256).max() == 128
    assert abs((inks(1024) == 255).mean() - 258 / 513) < 5 / math.sqrt(len(inks(1024)))


def test_a_smaller_picture_is_the_same_drawing_in_the_same_greys() -> None:
    large = render(seed=0, category=3, instance=1, pixels=512)
    small = render(seed=0, category=3, instance=1, pixels=256)
    assert set(np.unique(small)) <= set(np.unique(large))
    drawn = (large < 255).reshape(256, 2, 256, 2).any(axis=(1, 3))
    near = np.logical_or.reduce([np.roll(drawn, (i - 1, j - 1), (0, 1)) for i, j in np.ndindex(3, 3)])
    assert (near | (small == 255)).mean() > 0.999
    assert 0.02 < drawn.mean() < 0.98


def test_pictures_that_are_not_scaled_have_contours_as_large_as_at_512() -> None:
    canvas = render(seed=0, category=3, instance=1, pixels=512, colour=True)
    larger = render(seed=0, category=3, instance=1, pixels=1024, colour=True, scaled=False)
    # lines that cross the canvas's left or upper border are cut there to whole pixels, and turn a little
    same = (canvas == larger[256:768, 256:768]).all(axis=2)
    assert same.mean() > 0.995
    assert not np.array_equal(larger, render(seed=0, category=3, instance=1, pixels=1024, colour=True))


def test_in_colour_the_same_pixels_are_drawn_on_white() -> None:
    grey = render(seed=0, category=2, instance=1, pixels=128)
    colours = render(seed=0, category=2, instance=1, pixels=128, colour=True)
    assert (colours.shape, colours.dtype) == ((128, 128, 3), np.uint8)
    drawn = (colours < 255).any(axis=2)
    assert drawn[grey < 255].all()
    assert len(np.unique(colours[drawn], axis=0)) > 10
    assert not np.array_equal(colours[:, :, 0], colours[:, :, 1])


def test_pictures_do_not_depend_on_threads_or_order() -> None:
    asked = [(category, instance) for category in range(4) for instance in range(2)]

    def one(pair: tuple[int, int]) -> bytes:
        return render(seed=5, category=pair[0], instance=pair[1], pixels=64).tobytes()

    in_order = [one(pair) for pair in asked]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, reversed(asked))) == in_order[::-1]


def test_seed_class_and_instance_each_give_another_picture() -> None:
    pictures = {
        render(seed=seed, category=category, instance=instance, pixels=128, mode=mode).tobytes()
        for mode in ("default", "reference")
        for seed in (0, 1, 2**32, 2**64 - 1)
        for category in (0, 1)
        for instance in (0, 1)
    }
    assert len(pictures) == 32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pixels": 15}, "pixels is 15"),
        ({"seed": -1}, "seed is -1"),
        ({"mode": "fast"}, "Unknown mode: 'fast'. Known: default, reference"),
        ({"mode": "reference", "colour": True}, "colour is True; it must be False in reference mode"),
        ({"mode": "reference", "pixels": 33}, "pixels is 33; it must be even in reference mode"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(wrong: dict[str, object], message: str) -> None:
    arguments = {"seed": 0, "category": 0, "instance": 0, "pixels": 64, **wrong}
    with pytest.raises(ValueError, match=message):
        render(**arguments)  # type: ignore[arg-type]
