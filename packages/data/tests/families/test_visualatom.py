import math
import random
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
from fujimi_data.families.keys import class_key
from fujimi_data.families.orbits import draw_orbits
from fujimi_data.families.perlin import pnoise1 as our_pnoise1
from fujimi_data.families.program import reference_source
from fujimi_data.families.visualatom import atom_of, orbits_of, reference_pictures, render, view_of
from numpy.typing import NDArray
from PIL import Image, ImageDraw

try:  # a C compiler is needed to install it; without it ours, which has the same bits (test_perlin)
    from noise import pnoise1
except ImportError:

    def pnoise1(x: float) -> float:
        return float(our_pnoise1(np.float32(x)))


ATOMS = [atom_of(class_key(1, category)) for category in range(3000)]


class Program:
    """A plain reading of the authors' ``render_VisualAtom.py`` with the options of ``make_VisualAtom.sh``."""

    def __init__(self, source: random.Random, pixels: int) -> None:
        self.random = source
        self.pixels = pixels

    def new_class(self) -> None:
        draw = self.random
        self.vertices, self.orbits = draw.randint(200, 1000), draw.randint(1, 200)
        self.noise, self.gap = draw.uniform(0, 4), draw.uniform(0.0, 0.1)
        self.radius, self.waves_1 = draw.randint(10, 60), draw.randint(0, 20)
        while True:
            self.waves_2 = draw.randint(0, 20)
            if self.waves_1 != self.waves_2 or self.waves_1 == 0:
                break
        self.oval_x, self.oval_y = draw.uniform(1, 2), draw.uniform(1, 2)

    def new_view(self) -> None:
        self.centre_y = (self.pixels + self.random.randint(-512, 512)) / 2
        self.centre_x = (self.pixels + self.random.randint(-512, 512)) / 2

    def picture(self) -> NDArray[np.uint8]:
        image = Image.new("RGB", (self.pixels, self.pixels), (0, 0, 0))
        drawing = ImageDraw.Draw(image)
        angles = [math.pi * 2 / self.vertices * v for v in range(self.vertices)]
        x = [math.cos(t) * self.radius * self.oval_x + self.centre_x for t in angles]
        y = [math.sin(t) * self.radius * self.oval_y + self.centre_y for t in angles]
        for _ in range(self.orbits):
            grey = self.random.randint(0, 255)
            phi_x, phi_y = ([self.phi(t) for t in angles] for _ in range(2))
            for v, t in enumerate(angles):
                x[v] -= math.cos(t) * (phi_x[v] - self.gap)
                y[v] -= math.sin(t) * (phi_y[v] - self.gap)
            for v in range(self.vertices):
                w = (v + 1) % self.vertices
                drawing.line((x[v], y[v], x[w], y[w]), fill=(grey, grey, grey), width=1)
        return np.asarray(image)[:, :, 0]

    def phi(self, t: float) -> float:
        noise = pnoise1(self.random.uniform(0, 10_000)) * self.noise - self.noise
        return float(noise - 0.5 * math.sin(t * self.waves_1) - 0.5 * math.sin(t * self.waves_2))


def test_a_run_of_the_authors_program_is_repeated_pixel_by_pixel() -> None:
    source, authors = random.Random(2), random.Random(2)
    program = Program(authors, 512)
    expected = []
    for _ in range(2):
        program.new_class()
        program.new_view()
        for _ in range(2):
            expected.append(program.picture())
            program.new_view()
    drawn = list(reference_pictures(source, classes=range(4, 6), instances=2))
    assert [(category, instance) for category, instance, _ in drawn] == [(4, 0), (4, 1), (5, 0), (5, 1)]
    for (_, _, picture), theirs in zip(drawn, expected, strict=True):
        assert np.array_equal(picture, theirs)
    assert source.getstate() == authors.getstate()


@pytest.mark.parametrize(("category", "instance", "pixels"), [(1, 0, 512), (3, 5, 300)])
def test_one_picture_in_reference_mode_is_the_authors(category: int, instance: int, pixels: int) -> None:
    program = Program(reference_source(seed=7, category=category), pixels)
    program.new_class()
    if instance == 0:
        program.new_view()
    program.random = reference_source(seed=7, category=category, instance=instance)
    if instance:
        program.new_view()
    picture = render(seed=7, category=category, instance=instance, pixels=pixels, mode="reference")
    assert np.array_equal(picture, program.picture())


def test_between_pictures_the_source_is_where_the_program_s_is() -> None:
    source, authors = random.Random(1), random.Random(1)
    next(reference_pictures(source, classes=[0], instances=2))
    program = Program(authors, 512)
    program.new_class()
    program.new_view()
    program.picture()
    program.new_view()
    assert source.getstate() == authors.getstate()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("vertices", 200, 1000),
        ("orbits", 1, 200),
        ("radius", 10, 60),
        ("waves_1", 0, 20),
        ("waves_2", 0, 20),
        ("noise", 0, 4),
        ("gap", 0, 0.1),
        ("oval_x", 1, 2),
        ("oval_y", 1, 2),
    ],
)
def test_parameters_are_uniform_over_their_range(name: str, low: float, high: float) -> None:
    values = np.array([getattr(atom, name) for atom in ATOMS], dtype=float)
    assert low <= values.min() < low + 0.03 * (high - low) + 1e-9
    assert high - 0.03 * (high - low) - 1e-9 < values.max() <= high
    steps = high - low + 1 if isinstance(getattr(ATOMS[0], name), int) else np.inf
    deviation = (high - low) * np.sqrt((1 + 2 / steps) / 12)
    assert abs(values.mean() - (low + high) / 2) < 5 * deviation / np.sqrt(len(ATOMS))


def test_waves_are_equal_only_if_there_are_none() -> None:
    assert {atom.waves_1 for atom in ATOMS if atom.waves_1 == atom.waves_2} == {0}
    seen = {(atom.waves_1, atom.waves_2) for atom in ATOMS}
    assert all(any((a, b) in seen for b in range(a)) for a in range(1, 21))
    assert all(any((a, b) in seen for b in range(a + 1, 21)) for a in range(20))


@pytest.mark.parametrize("canvas", [512, 1024])
def test_centres_lie_on_half_pixels_up_to_256_from_the_middle(canvas: int) -> None:
    key = class_key(1, 0)
    views = [view_of(ATOMS[0], key, instance, canvas=canvas)[0] for instance in range(2000)]
    centres = np.array([(view.centre_x, view.centre_y) for view in views]) - canvas / 2
    assert np.array_equal(centres * 2, np.round(centres * 2))
    assert centres.min() < -251
    assert centres.max() > 251
    assert np.all(np.abs(centres) <= 256)
    assert abs(np.corrcoef(centres.T)[0, 1]) < 5 / np.sqrt(len(centres))


def test_a_picture_has_one_ink_for_each_orbit_and_all_greys_occur() -> None:
    category = max(range(100), key=lambda category: ATOMS[category].orbits)
    key = class_key(1, category)
    inks = [view_of(ATOMS[category], key, instance)[1] for instance in range(200)]
    assert {len(ink) for ink in inks} == {ATOMS[category].orbits}
    assert set(np.concatenate(inks)) == set(range(256))


def test_colours_of_an_orbit_are_independent() -> None:
    category = max(range(100), key=lambda category: ATOMS[category].orbits)
    key = class_key(1, category)
    inks = np.concatenate([view_of(ATOMS[category], key, instance, colour=True)[1] for instance in range(200)])
    colours = np.array([inks & 255, inks >> 8 & 255, inks >> 16 & 255])
    assert inks.max() < 2**24
    assert all(set(levels) == set(range(256)) for levels in colours)
    assert np.abs(np.corrcoef(colours) - np.eye(3)).max() < 5 / np.sqrt(len(inks))


def test_in_colour_the_same_pixels_are_drawn() -> None:
    grey = render(seed=0, category=2, instance=1, pixels=128)
    colours = render(seed=0, category=2, instance=1, pixels=128, colour=True)
    assert (colours.shape, colours.dtype) == ((128, 128, 3), np.uint8)
    drawn = colours.any(axis=2)
    assert drawn[grey > 0].all()
    # one grey in 256 is black, as the paper is
    assert (drawn & (grey == 0)).sum() < 0.1 * drawn.sum()


def test_pictures_that_are_not_scaled_show_a_part_of_the_canvas() -> None:
    key = class_key(3, 1)
    atom = atom_of(key)
    view, inks = view_of(atom, key, 2, canvas=256)
    larger = np.zeros((512, 512), dtype=np.uint8)
    orbits = orbits_of(atom, view, scale=1.0)
    draw_orbits(larger, orbits, inks, *key, np.uint32(2), np.uint32(1 + atom.orbits))
    picture = render(seed=3, category=1, instance=2, pixels=256, scaled=False)
    assert np.array_equal(picture, larger[:256, :256])
    assert not np.array_equal(picture, render(seed=3, category=1, instance=2, pixels=256))


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
    # an atom may lie outside of the picture, but hardly ever
    assert len(pictures) >= 30


def test_pictures_are_grey_squares() -> None:
    picture = render(seed=0, category=1, instance=0, pixels=16)
    assert (picture.shape, picture.dtype) == ((16, 16), np.uint8)
    sizes = {
        picture.shape
        for _, _, picture in islice(reference_pictures(random.Random(1), classes=[0], instances=2, pixels=64), 2)
    }
    assert sizes == {(64, 64)}


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", -1), ("seed", 2**64), ("category", 2**32), ("instance", 2**32 - 1), ("pixels", 15), ("pixels", 10**9)],
)
def test_a_number_out_of_range_is_refused_by_name(name: str, value: int) -> None:
    arguments = {"seed": 0, "category": 0, "instance": 0, "pixels": 64, name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        render(**arguments)


def test_an_unknown_mode_is_refused_and_so_are_colours_of_the_reference() -> None:
    with pytest.raises(ValueError, match=r"Unknown mode: 'referenc'.*Did you mean 'reference'"):
        render(seed=0, category=0, instance=0, pixels=64, mode="referenc")
    with pytest.raises(ValueError, match="colour is True; it must be False in reference mode"):
        render(seed=0, category=0, instance=0, pixels=64, mode="reference", colour=True)
