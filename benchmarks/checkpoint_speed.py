"""What checkpoints cost beside torch.save of the same bytes, and what opening one of many ranks costs.

Run: python benchmarks/checkpoint_speed.py [--mebibytes 1024] [--ranks 1000] [--tensors 100] [--directory DIR]

All ways save and load the same tensors, and each comes first in turn. A file is on disk (fsync) before the clock stops,
and is read from the page cache. Fujimi copies what it saves first, as training goes on meanwhile; the others need not.
A ratio above 1 is in favour of Fujimi.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from fujimi_parallel.checkpoint import Checkpoint, Part, Writer

RUNS = 6
TENSORS = 16


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--ranks", type=int, default=1000)
    parser.add_argument("--tensors", type=int, default=100)
    parser.add_argument("--directory", type=Path, help="where to write; a temporary directory by default")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # it is, on purpose
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        throughput(Path(directory) / "bytes", arguments.mebibytes)
        many_ranks(Path(directory) / "ranks", arguments.ranks, arguments.tensors)


def throughput(directory, mebibytes):
    """One rank that saves and loads everything."""
    directory.mkdir()
    columns = mebibytes * 2**20 // TENSORS // 4 // 1024
    state = {f"w{number}": torch.randn(1024, columns) for number in range(TENSORS)}
    ways = {"fujimi": Fujimi, "torch.save": TorchSave, "torch.distributed.checkpoint": Dcp}
    seconds = {name: {"save": [], "load": []} for name in ways}
    for turn in range(RUNS):
        for name in sorted(ways, key=lambda name: (list(ways).index(name) - turn) % len(ways)):
            way = ways[name]
            path = directory / name
            seconds[name]["save"].append(clock(lambda path=path, way=way: way.save(path, state)))
            seconds[name]["load"].append(clock(lambda path=path, way=way: way.load(path, state)))
            shutil.rmtree(path)
    print(f"{mebibytes:,} MiB in {TENSORS} tensors, one rank, best of {RUNS}")
    for what in ("save", "load"):
        ours = min(seconds["fujimi"][what])
        for name in ways:
            best = min(seconds[name][what])
            print(f"  {what} {name:30} {mebibytes / best:8.0f} MiB/s   {best / ours:5.2f}")
    before_step_goes_on(directory / "copy", state, mebibytes)
    reshard(directory / "reshard", state, mebibytes)


class Fujimi:
    @staticmethod
    def save(path, state):
        writer = Writer(path, rank=0, ranks=1, keep=1)
        writer.start(1, [(Part.of(name, tensor.shape), tensor) for name, tensor in state.items()], {})
        writer.wait()
        writer.commit()

    @staticmethod
    def load(path, state):
        checkpoint = Checkpoint(path / "step-00000001")
        for name, tensor in state.items():
            checkpoint.read(Part.of(name, tensor.shape))


class TorchSave:
    @staticmethod
    def save(path, state):
        path.mkdir()
        with (path / "state.pt").open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())

    @staticmethod
    def load(path, state):
        torch.load(path / "state.pt", weights_only=True)


class Dcp:
    @staticmethod
    def save(path, state):
        dcp.save(state, storage_writer=dcp.FileSystemWriter(path), no_dist=True)

    @staticmethod
    def load(path, state):
        into = {name: torch.empty_like(tensor) for name, tensor in state.items()}
        dcp.load(into, storage_reader=dcp.FileSystemReader(path), no_dist=True)


def before_step_goes_on(directory, state, mebibytes):
    """How long training waits: the copy, not the write."""
    writer = Writer(directory, rank=0, ranks=1, keep=1)
    parts = [(Part.of(name, tensor.shape), tensor) for name, tensor in state.items()]
    seconds = clock(lambda: writer.start(1, parts, {}))
    writer.wait()
    print(f"  training waits {seconds:.2f} s, {mebibytes / seconds:.0f} MiB/s")


def reshard(directory, state, mebibytes):
    """Saved in flat shares of blocks of columns, read in blocks of rows; then runs of one element."""
    ranks = [(tensor, data) for tensor in range(2) for data in range(2)]
    writers = [Writer(directory, rank=number, ranks=len(ranks), keep=1) for number in range(len(ranks))]
    for writer, (tensor_rank, data_rank) in zip(writers, ranks, strict=True):
        writer.start(1, list(shares(state, tensor_rank, data_rank)), {})
    for writer in writers:
        writer.wait()
    checkpoint = Checkpoint(writers[0].commit())
    halves = [
        Part.of(name, whole.shape, block=((0, 512), (0, whole.shape[1])))  # rows
        for name, whole in state.items()
    ]
    seconds = clock(lambda: [checkpoint.read(part) for part in halves])
    print(f"  load rows of what was saved in columns {mebibytes / 2 / seconds:8.0f} MiB/s")
    tall = torch.randn(2**20, 16)
    writer = Writer(directory, rank=0, ranks=1, keep=1)
    writer.start(2, [(Part.of("tall", tall.shape), tall)], {})
    writer.wait()
    checkpoint = Checkpoint(writer.commit())
    seconds = clock(lambda: checkpoint.read(Part.of("tall", tall.shape, block=((0, 2**20), (3, 4)))))
    print(f"  load one column of 16, 1,048,576 runs of 4 B: {seconds:.2f} s")


def shares(state, tensor_rank, data_rank):
    for name, whole in state.items():
        half = whole.shape[1] // 2
        columns = (tensor_rank * half, (tensor_rank + 1) * half)
        part = Part.of(name, whole.shape, block=((0, 1024), columns)).share(data_rank, 2)
        yield part, whole[:, slice(*columns)].reshape(-1)[slice(*part.flat)]


def many_ranks(directory, ranks, tensors):
    """Each rank has a share of each tensor; then one of other many ranks opens the checkpoint and reads its own."""
    size = 1024
    whole = torch.randn(size, size)
    names = [f"model/blocks.{number}.weight" for number in range(tensors)]
    for rank in reversed(range(ranks)):
        parts = [Part.of(name, whole.shape).share(rank, ranks) for name in names]
        writer = Writer(directory, rank=rank, ranks=ranks, keep=1)
        writer.start(1, [(part, whole.reshape(-1)[slice(*part.flat)]) for part in parts], {})
        writer.wait()
    commit_s = clock(writer.commit)
    path = directory / "step-00000001"
    open_s = statistics.median(clock(lambda: Checkpoint(path)) for _ in range(RUNS))
    checkpoint = Checkpoint(path)
    mine = [Part.of(name, whole.shape).share(77, 96) for name in checkpoint.names()]
    read_s = statistics.median(clock(lambda: [checkpoint.read(part) for part in mine]) for _ in range(RUNS))
    index_nbytes = (path / "index.safetensors").stat().st_size
    files = path.glob("rank-*")
    print(f"{ranks:,} ranks with parts of {tensors} tensors each")
    print(f"  rank files {sum(file.stat().st_size for file in files):,} B, index {index_nbytes:,} B")
    print(f"  commit {commit_s:.2f} s, open {open_s * 1e3:.1f} ms, read one of 96 shares {read_s * 1e3:.0f} ms")


def clock(what):
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
