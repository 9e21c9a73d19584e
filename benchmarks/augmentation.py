"""How many pictures a core augments, beside Pillow, OpenCV, torchvision and timm on the same pictures and crops.

All do the same crops of the same 256 x 256 pictures, in turns, so that a busy machine slows all down; quote the ratio.
Decoding is left out, as is the conversion to tensors. What torchvision and timm do with a picture, Pillow does for
them; OpenCV, torchvision and timm are left out where they are not installed.

    python benchmarks/augmentation.py [--pictures 200] [--channels 1]
"""

import argparse
import importlib.util
import time
from collections.abc import Callable

import numpy as np
from fujimi_data.augment import CentreCrop, Flip, RandomErasing, RandomResizedCrop, recipe
from fujimi_data.augment.draws import sample_key
from fujimi_data.augment.randaugment import OPERATIONS, Operation, apply
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

PIXELS, SIDE = 224, 256
FILL = (124, 116, 104)
BICUBIC = Image.Resampling.BICUBIC
Work = Callable[[int], object]


def keys(count: int) -> list[tuple[int, int]]:
    return [sample_key(seed=0, position=0, number=number) for number in range(count)]


def crops(pictures: NDArray[np.uint8], out: NDArray[np.uint8], resampling: str) -> dict[str, Work]:
    """Random resized crop and horizontal flip."""
    crop, flip = RandomResizedCrop(resampling=resampling), Flip(horizontal=0.5)
    images = [Image.fromarray(picture) for picture in pictures]
    drawn = [(crop.draw(key, rows=SIDE, columns=SIDE), flip.draw(key)[0]) for key in keys(len(pictures))]
    how = Image.Resampling[resampling.upper()]

    def fujimi(i: int) -> None:
        crop.write(pictures[i], out[i % len(out)], key=sample_key(seed=0, position=0, number=i), flip=flip)

    def pillow(i: int) -> NDArray[np.uint8]:
        (top, left, height, width), mirrored = drawn[i]
        image = images[i].crop((left, top, left + width, top + height)).resize((PIXELS, PIXELS), how)
        return np.asarray(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else image)

    works: dict[str, Work] = {"fujimi": fujimi, "Pillow": pillow}
    if importlib.util.find_spec("cv2"):
        import cv2

        cv2.setNumThreads(1)
        kind = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}[resampling]

        def opencv(i: int) -> object:
            (top, left, height, width), mirrored = drawn[i]
            resized = cv2.resize(
                pictures[i][top : top + height, left : left + width], (PIXELS, PIXELS), interpolation=kind
            )
            return cv2.flip(resized, 1) if mirrored else resized

        works["OpenCV, not antialiased"] = opencv
    if importlib.util.find_spec("torchvision"):
        from torchvision import transforms

        chain = transforms.Compose(
            [
                transforms.RandomResizedCrop(PIXELS, interpolation=transforms.InterpolationMode(resampling)),
                transforms.RandomHorizontalFlip(),
            ]
        )
        works["torchvision, its draws"] = lambda i: np.asarray(chain(images[i]))
    return works


def middles(pictures: NDArray[np.uint8], out: NDArray[np.uint8]) -> dict[str, Work]:
    """Shorter side to 248, and the middle of it."""
    crop = CentreCrop(fraction=PIXELS / 248)
    images = [Image.fromarray(picture) for picture in pictures]
    border = (248 - PIXELS) // 2
    box = (border, border, border + PIXELS, border + PIXELS)
    return {
        "fujimi": lambda i: crop.write(pictures[i], out[i % len(out)], key=(0, 0), flip=Flip()),
        "Pillow": lambda i: np.asarray(images[i].resize((248, 248), BICUBIC).crop(box)),
    }


def whole_recipe(pictures: NDArray[np.uint8], out: NDArray[np.uint8]) -> dict[str, Work]:
    """What DeiT does to a sample, without erasing in the others, which do that with tensors."""
    augmentation = recipe("deit").augmentation
    images = [Image.fromarray(picture) for picture in pictures]
    works: dict[str, Work] = {
        "fujimi, with erasing": lambda i: augmentation.apply(
            pictures[i], out[i % len(out)], seed=0, position=0, number=i
        )
    }
    if importlib.util.find_spec("torchvision") and importlib.util.find_spec("timm"):
        from timm.data.auto_augment import rand_augment_transform
        from torchvision import transforms

        # of a strength that stays below 10, where Pillow 13 refuses what timm asks for
        options = {"img_mean": FILL if pictures.ndim == 4 else FILL[0], "interpolation": BICUBIC}
        chain = transforms.Compose(
            [
                transforms.RandomResizedCrop(PIXELS, interpolation=transforms.InterpolationMode.BICUBIC),
                transforms.RandomHorizontalFlip(),
                rand_augment_transform("rand-m9-inc1", options),
            ]
        )
        works["torchvision and timm, no erasing"] = lambda i: np.asarray(chain(images[i]))
    return works


def operations(planes: NDArray[np.uint8]) -> dict[str, dict[str, Work]]:
    """Each operation of RandAugment at a strength of 9, on a picture that is changed again and again."""
    image = Image.fromarray(planes[0] if len(planes) == 1 else planes.transpose(1, 2, 0))
    fill = FILL if len(planes) == 3 else FILL[0]
    brighter = [min(255, i + 99) if i < 128 else i for i in range(256)] * len(planes)

    def moved(*matrix: float) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=BICUBIC, fillcolor=fill)

    pillow: dict[str, Callable[[], object]] = {
        "auto_contrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "invert": lambda: ImageOps.invert(image),
        "rotate": lambda: image.rotate(27.0, resample=BICUBIC, fillcolor=fill),
        "posterize": lambda: ImageOps.posterize(image, 1),
        "solarize": lambda: ImageOps.solarize(image, 26),
        "solarize_add": lambda: image.point(brighter),
        "colour": lambda: ImageEnhance.Color(image).enhance(1.81),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(1.81),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(1.81),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(1.81),
        "shear_x": lambda: moved(1, 0.27, 0, 0, 1, 0),
        "shear_y": lambda: moved(1, 0, 0, 0.27, 1, 0),
        "translate_x": lambda: moved(1, 0, 0.405 * PIXELS, 0, 1, 0),
        "translate_y": lambda: moved(1, 0, 0, 0, 1, 0.405 * PIXELS),
    }

    def ours(name: str) -> Work:
        operation = Operation(name=name, strength=9.0, negative=False, resampling="bicubic")
        return lambda i: apply(operation, planes, fill=FILL)

    def theirs(name: str) -> Work:
        return lambda i: pillow[name]()

    return {name: {"fujimi": ours(name), "Pillow": theirs(name)} for name in OPERATIONS}


def erasing(planes: NDArray[np.uint8]) -> dict[str, Work]:
    """One rectangle of noise in every picture."""
    erase = RandomErasing(probability=1.0)
    return {"fujimi": lambda i: erase.apply(planes, key=(i, 0))}


def compare(title: str, works: dict[str, Work], pictures: int, rounds: int) -> None:
    best = dict.fromkeys(works, float("inf"))
    for work in works.values():
        work(0)  # compiles
    for _ in range(rounds):
        for name, work in works.items():
            started = time.process_time()
            for i in range(pictures):
                work(i)
            best[name] = min(best[name], (time.process_time() - started) / pictures)
    print(title)
    first = next(iter(best.values()))
    for name, seconds in best.items():
        rate = f"{1e6 * seconds:8.1f} us {1 / seconds:10.0f} per CPU-second"
        print(f"  {name:34s} {rate} {seconds / first:8.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--channels", type=int, choices=[1, 3], default=1)
    parser.add_argument("--rounds", type=int, default=5, help="of which the fastest counts")
    arguments = parser.parse_args()
    random = np.random.default_rng(0)
    grey = arguments.channels == 1
    pictures = random.integers(0, 256, (arguments.pictures, SIDE, SIDE, *(() if grey else (3,))), dtype=np.uint8)
    out = np.zeros((16, *(() if grey else (3,)), PIXELS, PIXELS), dtype=np.uint8)
    planes = random.integers(0, 256, (arguments.channels, PIXELS, PIXELS), dtype=np.uint8)
    comparisons = {
        f"Random resized crop to {PIXELS}, bilinear, and flip": crops(pictures, out, "bilinear"),
        f"Random resized crop to {PIXELS}, bicubic, and flip": crops(pictures, out, "bicubic"),
        "Resize to 248, bicubic, and centre crop": middles(pictures, out),
        "DeiT: crop, flip, RandAugment": whole_recipe(pictures, out),
        "Erase one rectangle": erasing(planes),
        **{f"RandAugment's {name}": works for name, works in operations(planes).items()},
    }
    print(f"{SIDE} x {SIDE} pictures, {arguments.channels} channel(s); the last column is time over fujimi's")
    for title, works in comparisons.items():
        compare(title, works, arguments.pictures, arguments.rounds)


if __name__ == "__main__":
    main()
