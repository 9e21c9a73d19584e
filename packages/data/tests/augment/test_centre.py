import numpy as np
import pytest
from fujimi_data.augment.centre import CentreCrop
from fujimi_data.augment.flip import Flip
from numpy.typing import NDArray
from PIL import Image

KEY = (1, 2)


def expected(picture: NDArray[np.uint8], pixels: int, fraction: float, resampling: str) -> NDArray[np.uint8]:
    """``Resize`` and ``CenterCrop`` of torchvision 0.29 with the sizes of timm 1.0, with Pillow in two steps."""
    how = Image.Resampling[resampling.upper()]
    image = Image.fromarray(picture)
    size = int(np.floor(pixels / fraction))
    short, long = sorted(image.size)
    new_short, new_long = size, int(size * long / short)
    columns, rows = (new_short, new_long) if image.width <= image.height else (new_long, new_short)
    down_first = image.height - rows > max(0, 2 * (image.width - columns))
    image = image.resize((image.width, rows) if down_first else (columns, image.height), how).resize(
        (columns, rows), how
    )
    top, left = round((rows - pixels) / 2.0), round((columns - pixels) / 2.0)
    return np.asarray(image.crop((left, top, left + pixels, top + pixels)))


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("rows", "columns", "pixels", "fraction"),
    [
        (40, 40, 28, 0.875),
        (32, 32, 28, 0.875),
        (90, 41, 28, 0.875),
        (41, 90, 28, 0.9),
        (35, 34, 28, 1.0),
        (150, 147, 21, 0.7),
        (20, 23, 40, 0.875),
    ],
)
def test_the_middle_is_that_of_pillow(rows: int, columns: int, pixels: int, fraction: float, resampling: str) -> None:
    picture = np.random.default_rng(rows).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    crop = CentreCrop(fraction=fraction, resampling=resampling)
    grey, colour = np.empty((pixels, pixels), dtype=np.uint8), np.empty((3, pixels, pixels), dtype=np.uint8)

    crop.write(picture[:, :, 1].copy(), grey, key=KEY, flip=Flip())
    crop.write(picture, colour, key=KEY, flip=Flip())

    assert np.array_equal(grey, expected(picture[:, :, 1].copy(), pixels, fraction, resampling))
    assert np.array_equal(colour.transpose(1, 2, 0), expected(picture, pixels, fraction, resampling))


@pytest.mark.parametrize("side", [40, 43])
def test_flips_mirror_the_same_middle(side: int) -> None:
    picture = np.random.default_rng(side).integers(0, 256, (side, side + 1), dtype=np.uint8)
    straight, turned = np.empty((2, 35, 35), dtype=np.uint8)
    CentreCrop().write(picture, straight, key=KEY, flip=Flip())
    CentreCrop().write(picture, turned, key=KEY, flip=Flip(horizontal=1.0, vertical=1.0))
    assert np.array_equal(turned, straight[::-1, ::-1])


@pytest.mark.parametrize("fraction", [0.0, 1.01])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="fraction is"):
        CentreCrop(fraction=fraction)


def test_an_unknown_resampling_is_refused() -> None:
    with pytest.raises(ValueError, match="'random'; known: bilinear, bicubic"):
        CentreCrop(resampling="random")
