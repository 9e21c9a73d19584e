import random
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from fujimi_data.families.exfractaldb import render
from fujimi_data.families.exfractaldb_reference import WEIGHTS, draw, model, reference_order, search
from fujimi_data.families.program import reference_source
from numpy.typing import NDArray

# What the authors' programs (masora1030/CVPR2022-Pretrained-ViT-PyTorch, 7a28054) gave with numpy 2.4 and Mesa 22.3.6:
# the first classes of category_search.py --seed=1 --variance=0.05; of the second one, the models of instance.py after
# numpy.random.seed(7), a CRC-32 of each and its last point; pictures of render.py of models 6 and 108, in this order,
# after random.seed(3), packed by numpy.packbits; their weights_ins145.csv.
with np.load(Path(__file__).parent.parent / "data" / "exfractaldb.npz") as published:
    PUBLISHED = {name: published[name] for name in published}


@pytest.fixture(scope="module")
def models() -> list[NDArray[np.float64]]:
    source = np.random.RandomState(7)
    return [model(source, PUBLISHED["class_1"], weights) for weights in WEIGHTS]


def test_classes_are_those_that_the_authors_program_finds() -> None:
    found = list(islice(search(np.random.RandomState(1)), 3))
    for ours, theirs in zip(found, (PUBLISHED[f"class_{c}"] for c in range(3)), strict=True):
        assert np.array_equal(ours[:, :12], theirs[:, :12])
        # a determinant's last bit is the linear algebra library's
        assert np.allclose(ours[:, 12], theirs[:, 12], rtol=1e-12, atol=0)


def test_weights_are_the_authors() -> None:
    assert np.array_equal(WEIGHTS, PUBLISHED["weights"])


def test_models_are_those_of_the_authors_program_bit_by_bit(models: list[NDArray[np.float64]]) -> None:
    assert np.array_equal([points[:, -1] for points in models], PUBLISHED["last_points"])
    assert [zlib.crc32(points.astype("<f8").tobytes()) for points in models] == PUBLISHED["checksums"].tolist()


def test_pictures_are_those_that_mesa_draws_for_the_authors_program(models: list[NDArray[np.float64]]) -> None:
    order = reference_order(random.Random(3), models=2)
    for (number, heading), packed in zip(order, PUBLISHED["pictures"], strict=True):
        picture = draw(models[(6, 108)[number]], heading, pixels=224)
        assert np.array_equal(picture, 255 * np.unpackbits(packed).reshape(224, 224))


def test_a_system_that_overflows_gives_a_black_picture() -> None:
    system = np.ones((2, 13))
    points = model(np.random.RandomState(0), system, np.ones(12))
    assert np.isnan(points).all()
    assert not draw(points, 0.0, pixels=64).any()


def test_one_picture_is_made_of_the_streams_documented() -> None:
    system = list(islice(search(np.random.RandomState(5)), 2))[1]
    points = model(np.random.RandomState([5, 1, 2]), system, WEIGHTS[2])
    jitter = reference_source(seed=5, category=1, instance=29).uniform(-np.pi, np.pi)
    degrees = 5 / 12 * 360 + 30 + jitter
    picture = render(seed=5, category=1, instance=29, pixels=96, mode="reference")
    assert np.array_equal(picture, draw(points, -np.radians(degrees), pixels=96))
    assert picture.any()


def test_a_seed_that_numpy_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="seed is 4294967296; it must be below 4294967296 in reference mode"):
        render(seed=2**32, category=0, instance=0, pixels=64, mode="reference")
