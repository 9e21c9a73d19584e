"""How many samples a core reads and decodes, beside other readers of the same pictures.

Makes VisualAtom pictures of 256 x 256 once, and gives the same PNG files to all readers: one file each, webdataset
(which reads the shards themselves), parquet, streaming (MDS) and wids. Those that are not installed are left out.
Readers take turns, the best round of each counts; quote the ratios.

    pip install webdataset wids pyarrow mosaicml-streaming pillow
    python benchmarks/data_reading.py [--samples 20000] [--work DIR] [--only read,cold,decode,pipeline,open]
"""

import argparse
import importlib.metadata
import io
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from fujimi_core.plugins import Plugins
from fujimi_data import BatchLoader, ShardDataset, batch_indices
from fujimi_data.augment import Augmentation, Flip, RandomResizedCrop
from fujimi_data.generation import generate, recipe_of
from fujimi_data.shards import index
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.manifest import FILE, INDEX_FILE, Manifest, Packing, ShardEntry, save
from fujimi_data.shards.sample import SampleEntry
from PIL import Image

Reader = Callable[[], int]
_BATCH = 256
_CLASSES = 1000


def make(work: Path, samples: int) -> None:
    """The same pictures for all readers."""
    generator = Plugins.installed(disabled=()).generator("visualatom")
    for codec in (Codec.PNG, Codec.PNG_FAST, Codec.LZ4, Codec.ZSTD):
        recipe = recipe_of(
            generator, classes=_CLASSES, instances=samples // _CLASSES, pixels=256, samples_per_shard=1000, codec=codec
        )
        generate(generator, recipe, work / codec.value)
    files = work / "files"
    if not files.exists():
        files.mkdir()
        for sample in ShardDataset(work / "png"):
            (files / f"{sample.key}.png").write_bytes(sample.files["png"])
        os.sync()


# readers: each reads all samples once, in random order, and returns how many


def ours(work: Path, *, look_ahead: bool = False) -> Reader:
    dataset = ShardDataset(work / "png")
    epochs = iter(range(10**6))

    def read() -> int:
        epoch, count = next(epochs), len(dataset)
        for step in range(epoch * count // _BATCH, (epoch + 1) * count // _BATCH):
            numbers = batch_indices(samples=count, seed=0, step=step, global_batch=_BATCH)
            pieces = dataset.read(numbers, look_ahead=look_ahead)
            assert not pieces.damages
        return count // _BATCH * _BATCH

    return read


def ours_with_threads(work: Path) -> Reader:
    from concurrent.futures import ThreadPoolExecutor

    dataset = ShardDataset(work / "png")

    def read() -> int:
        count = len(dataset)
        with ThreadPoolExecutor(8) as pool:
            steps = (batch_indices(samples=count, seed=0, step=step, global_batch=64) for step in range(count // 64))
            for pieces in pool.map(lambda numbers: dataset.read(numbers, look_ahead=True), steps):
                assert not pieces.damages
        return count // 64 * 64

    return read


def one_by_one(work: Path) -> Reader:
    dataset = ShardDataset(work / "png")

    def read() -> int:
        for number in batch_indices(samples=len(dataset), seed=0, step=0, global_batch=len(dataset)).tolist():
            assert dataset[number].files
        return len(dataset)

    return read


def a_file_each(work: Path) -> Reader:
    paths = [str(path) for path in (work / "files").iterdir()]

    def read() -> int:
        random.shuffle(paths)
        for path in paths:
            with open(path, "rb", buffering=0) as file:  # noqa: PTH123 (pathlib takes longer)
                file.read()
        return len(paths)

    return read


def webdataset(work: Path, decode: Callable[[bytes], object] = len, codec: Codec = Codec.PNG) -> Reader:
    import webdataset as wds

    urls = [str(path) for path in sorted((work / codec.value).glob("*.tar"))]

    def read() -> int:
        dataset = wds.WebDataset(urls, shardshuffle=len(urls), empty_check=False).shuffle(1000)
        return sum(decode(sample["png"]) is not None for sample in dataset)

    return read


def wids(work: Path) -> Reader:
    import wids as module

    shards = [
        {"url": str(path), "nsamples": 1000, "filesize": path.stat().st_size}
        for path in sorted((work / "png").glob("*.tar"))
    ]
    (work / "wids.json").write_text(json.dumps({"__kind__": "wids-shard-index-v1", "shardlist": shards}))
    dataset = module.ShardListDataset(shards, lru_size=len(shards) + 1, keep=True, transformations=[])

    def read() -> int:
        order = list(range(len(dataset)))
        random.shuffle(order)
        return sum(dataset[number][".png"].seek(0, 2) > 0 for number in order)

    return read


def parquet(work: Path, group: int) -> Reader:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = work / f"pictures-{group}.parquet"
    if not path.exists():
        pictures = [bytes(sample.files["png"]) for sample in ShardDataset(work / "png")]
        pq.write_table(
            pa.table({"png": pictures}), path, row_group_size=group, compression="none", use_dictionary=False
        )

    def read() -> int:
        file = pq.ParquetFile(path)
        groups, count = list(range(file.num_row_groups)), 0
        random.shuffle(groups)
        for group in groups:
            column = file.read_row_group(group, use_threads=False).column(0)
            order = list(range(len(column)))
            random.shuffle(order)
            count += sum(len(column[place].as_py()) > 0 for place in order)
        return count

    return read


def streaming(work: Path, decode: Callable[[bytes], object] = len) -> Reader:
    from streaming import MDSWriter, StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    if not (work / "mds").exists():
        with MDSWriter(out=str(work / "mds"), columns={"png": "bytes"}, size_limit=2**24) as writer:
            for sample in ShardDataset(work / "png"):
                writer.write({"png": bytes(sample.files["png"])})
    clean_stale_shared_memory()
    dataset = StreamingDataset(local=str(work / "mds"), shuffle=True, batch_size=_BATCH)

    def read() -> int:
        order = np.random.permutation(len(dataset)).tolist()
        return sum(decode(dataset[number]["png"]) is not None for number in order)

    return read


def pil(content: bytes) -> object:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def files_and_pil(work: Path) -> Reader:
    paths = list((work / "files").iterdir())

    def read() -> int:
        random.shuffle(paths)
        return sum(pil(path.read_bytes()) is not None for path in paths)

    return read


def torchvision_pipeline(work: Path) -> Reader:
    import torch
    from torchvision import transforms

    paths = list((work / "files").iterdir())
    steps = transforms.Compose(
        [
            transforms.RandomResizedCrop(224),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        ]
    )
    torch.set_num_threads(1)

    def read() -> int:
        chosen = random.sample(paths, 10 * _BATCH)
        for first in range(0, len(chosen), _BATCH):
            batch = chosen[first : first + _BATCH]
            torch.stack([steps(Image.open(path).convert("RGB")) for path in batch])
        return len(chosen)

    return read


def loader(work: Path, codec: Codec, augmentation: Augmentation | None = None) -> Reader:
    dataset = ShardDataset(work / codec.value)

    def read() -> int:
        with BatchLoader(dataset, seed=0, global_batch=_BATCH, threads=1, augmentation=augmentation) as batches:
            for _ in range(len(dataset) // _BATCH):
                next(batches)
        return len(dataset) // _BATCH * _BATCH

    return read


# measuring


def compared(title: str, readers: dict[str, Reader], clock: Callable[[], float], before: Callable[[], None]) -> None:
    rates: dict[str, float] = {}
    for _ in range(3):
        for name, read in readers.items():
            before()
            started = clock()
            count = read()
            rates[name] = max(rates.get(name, 0.0), count / (clock() - started))
    first = next(iter(rates.values()))
    print(f"\n{title}")
    for name, rate in rates.items():
        print(f"  {name:44s} {rate:10,.0f}   {first / rate:6.1f}")


def installed(readers: dict[str, Callable[[], Reader]]) -> dict[str, Reader]:
    """Those whose packages are there."""
    found = {}
    for name, build in readers.items():
        try:
            found[name] = build()
        except ImportError as missing:
            print(f"left out: {name}: {missing}", file=sys.stderr)
    return found


def forget(work: Path) -> None:
    """Drop the files from the system's cache."""
    for path in work.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)


def make_index(work: Path, shards: int, each: int) -> Path:
    """A dataset of many samples with all but their contents."""
    out = work / f"index-{shards}"
    if (out / FILE).exists():
        return out
    out.mkdir()
    entries = []
    samples = [SampleEntry(key=f"{n:07d}", nbytes=18 * 1024, checksum=n, label=n % 21_000) for n in range(each)]
    packing = Packing(
        source="webdataset", samples=shards * each, classes=tuple(map(str, range(21_000))), labels=True, listing="",
        shard_nbytes=1,
    )  # fmt: skip
    end, table = index.encode(samples, recipe=packing.digest, label_nbytes=packing.label_nbytes)
    nbytes = each * 18 * 1024 + len(end)
    footer = index.read_footer(end[-index.TAIL_NBYTES :], shard="", nbytes=nbytes)
    with (out / INDEX_FILE).open("wb") as tables:
        for shard in range(shards):
            with (out / f"shard-{shard:05d}.tar").open("wb") as file:
                file.seek(each * 18 * 1024)
                file.write(end)
            tables.write(table)
            entries.append(
                ShardEntry(
                    name=f"shard-{shard:05d}.tar",
                    samples=each,
                    nbytes=nbytes,
                    checksum=footer.checksum,
                    table=index.digits(table),
                )
            )
    save(Manifest(packing=packing, shards=tuple(entries)), out)
    return out


def opening(work: Path) -> None:
    directory = make_index(work, 2100, 10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    dataset = ShardDataset(directory, on_error="skip")
    opened_s = time.perf_counter() - started
    dataset.read(np.arange(0, len(dataset), 10_000))  # a sample of each shard, so that all tables are checked
    checked_s = time.perf_counter() - started
    private = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    shared = (directory / INDEX_FILE).stat().st_size / 1e6
    print(f"\nopening {len(dataset):,} samples in 2,100 shards")
    print(f"  opened {opened_s:.2f} s, all tables checked {checked_s:.2f} s")
    print(f"  shared by all processes (system's cache) {shared:.0f} MB, of this process {private:.0f} MB")


def importing() -> None:
    command = "import time; t = time.perf_counter(); import fujimi_data; print(time.perf_counter() - t)"
    best = min(float(subprocess.check_output([sys.executable, "-c", command])) for _ in range(5))
    print(f"\nimport fujimi_data: {best:.2f} s")


def versions() -> Iterator[str]:
    for name in ("numpy", "numba", "pillow", "webdataset", "wids", "pyarrow", "mosaicml-streaming"):
        try:
            yield f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "fujimi-data-reading")
    parser.add_argument("--only", default="read,cold,decode,pipeline,open")
    arguments = parser.parse_args()
    work, only = arguments.work, arguments.only.split(",")
    work.mkdir(exist_ok=True)
    make(work, arguments.samples)
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), "")
    print(f"{cpu.partition(':')[2].strip()}, Python {platform.python_version()}, {', '.join(versions())}")
    nothing = lambda: None  # noqa: E731
    if "read" in only:
        readers = installed(
            {
                "fujimi": lambda: ours(work),
                "fujimi, one by one": lambda: one_by_one(work),
                "a file each": lambda: a_file_each(work),
                "webdataset, buffer of 1000": lambda: webdataset(work),
                "wids": lambda: wids(work),
                "parquet, groups of 1000 shuffled": lambda: parquet(work, 1000),
                "parquet, groups of 256 shuffled": lambda: parquet(work, 256),
                "streaming, ds[i]": lambda: streaming(work),
            }
        )
        compared(
            "samples read per CPU-second, in memory; fujimi is so many times as fast",
            readers,
            time.process_time,
            nothing,
        )
    if "cold" in only:
        readers = installed(
            {
                "fujimi, 8 threads": lambda: ours_with_threads(work),
                "fujimi, one thread": lambda: ours(work, look_ahead=True),
                "a file each": lambda: a_file_each(work),
                "webdataset, buffer of 1000": lambda: webdataset(work),
                "wids": lambda: wids(work),
                "parquet, groups of 1000 shuffled": lambda: parquet(work, 1000),
                "parquet, groups of 256 shuffled": lambda: parquet(work, 256),
            }
        )
        compared("samples read per second, not in memory", readers, time.perf_counter, lambda: forget(work))
    if "decode" in only:
        readers = installed(
            {
                "fujimi, fast PNG": lambda: loader(work, Codec.PNG_FAST),
                "fujimi, PNG": lambda: loader(work, Codec.PNG),
                "fujimi, LZ4": lambda: loader(work, Codec.LZ4),
                "fujimi, Zstandard": lambda: loader(work, Codec.ZSTD),
                "a file each, Pillow": lambda: files_and_pil(work),
                "webdataset, Pillow": lambda: webdataset(work, pil),
                "webdataset, Pillow, fast PNG": lambda: webdataset(work, pil, Codec.PNG_FAST),
                "streaming, Pillow": lambda: streaming(work, pil),
            }
        )
        compared("pictures read and decoded per CPU-second, in memory", readers, time.process_time, nothing)
    if "pipeline" in only:
        augmentation = Augmentation(pixels=224, crop=RandomResizedCrop(), flip=Flip(horizontal=0.5))
        readers = installed(
            {
                "fujimi, LZ4": lambda: loader(work, Codec.LZ4, augmentation),
                "fujimi, fast PNG": lambda: loader(work, Codec.PNG_FAST, augmentation),
                "fujimi, PNG": lambda: loader(work, Codec.PNG, augmentation),
                "files, Pillow, torchvision, normalised RGB": lambda: torchvision_pipeline(work),
            }
        )
        title = "decoded, cropped to 224, flipped and batched per CPU-second, in memory"
        compared(title, readers, time.process_time, nothing)
    if "open" in only:
        opening(work)
        importing()


if __name__ == "__main__":
    main()
