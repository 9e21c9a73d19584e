"""Collectives of the backend "mpi" against gloo, on the ranks of one machine.

``python benchmarks/mpi_against_gloo.py`` starts 2 and then 4 ranks by mpiexec. In each run the same processes hold a
group of either backend, which take turns. In a turn a call is repeated, as the Intel MPI Benchmarks do it; a time is
the median over the turns of the slowest rank's. With ``--all`` also reduce-scatter, all-gather and broadcast;
``--ranks`` and ``--largest`` choose other sizes.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable

import torch
import torch.distributed as dist

KIB, MIB = 2**10, 2**20
SIZES = (4 * KIB, 64 * KIB, MIB, 16 * MIB, 64 * MIB, 256 * MIB)
#: How many times as fast as gloo all-reduce is to be.
GOALS = {4 * KIB: 10.0, 64 * KIB: 10.0, MIB: 8.0, 16 * MIB: 2.0, 64 * MIB: 1.0, 256 * MIB: 1.0}
TURNS = 9
COLLECTIVES = ("all_reduce", "reduce_scatter", "all_gather", "broadcast")


def calls_of(collective: str, nbytes: int, group: dist.ProcessGroup) -> Callable[[], object]:
    """What one rank calls; ``nbytes`` is the larger side."""
    whole = torch.zeros(nbytes // 4)
    part = torch.zeros(nbytes // 4 // group.size())
    return {
        "all_reduce": lambda: dist.all_reduce(whole, group=group),
        "reduce_scatter": lambda: dist.reduce_scatter_single(part, whole, group=group),
        "all_gather": lambda: dist.all_gather_single(whole, part, group=group),
        "broadcast": lambda: dist.broadcast(whole, 0, group=group),
    }[collective]


def raw_all_reduce(nbytes: int) -> Callable[[], object]:
    """The MPI library's own."""
    from mpi4py import MPI

    numbers = torch.zeros(nbytes // 4).numpy()
    return lambda: MPI.COMM_WORLD.Allreduce(MPI.IN_PLACE, numbers)


def calls_a_turn(nbytes: int) -> int:
    """How often a call is repeated before others have their turn: long enough for what ran before to be forgotten."""
    return max(1, min(200, 128 * MIB // nbytes))


def times_s(calls: dict[str, Callable[[], object]], nbytes: int) -> dict[str, float]:
    """Time of each call: the median over its turns of the slowest rank's."""
    from mpi4py import MPI

    ranks = MPI.COMM_WORLD
    repeats = calls_a_turn(nbytes)
    times = torch.zeros(TURNS, len(calls), dtype=torch.float64)
    for i in range(TURNS):
        for k, call in enumerate(calls.values()):
            call()  # not timed: what ran before it has left caches and threads as it needed them
            ranks.Barrier()  # whose ranks leave it within microseconds where each has a core, unlike gloo's
            start = time.perf_counter()
            for _ in range(repeats):
                call()
            times[i, k] = (time.perf_counter() - start) / repeats
    dist.all_reduce(times, dist.ReduceOp.MAX)
    return dict(zip(calls, times.median(dim=0).values.tolist(), strict=True))


def compare(collective: str, sizes: list[int], mpi: dist.ProcessGroup) -> None:
    if dist.get_rank() == 0:
        print(f"\n{collective}, {mpi.size()} ranks [µs]")
        print(f"{'bytes':>12} {'gloo':>10} {'mpi':>10} {'raw MPI':>10} {'gloo/mpi':>9} {'goal':>6}")
    for nbytes in sizes:
        gloo = dist.group.WORLD
        assert gloo is not None
        calls = {"gloo": calls_of(collective, nbytes, gloo), "mpi": calls_of(collective, nbytes, mpi)}
        if collective == "all_reduce":
            calls["raw"] = raw_all_reduce(nbytes)
        found = times_s(calls, nbytes)
        if dist.get_rank() == 0:
            raw = f"{found['raw'] * 1e6:10.0f}" if "raw" in found else " " * 10
            goal = f"{GOALS[nbytes]:6.0f}" if collective == "all_reduce" and nbytes in GOALS else ""
            ratio = found["gloo"] / found["mpi"]
            both = f"{found['gloo'] * 1e6:10.0f} {found['mpi'] * 1e6:10.0f}"
            print(f"{nbytes:12,} {both} {raw} {ratio:9.1f} {goal}", flush=True)


def overlap(group: dist.ProcessGroup, name: str) -> None:
    """How much of an all-reduce of 16 MiB a matrix product hides."""
    a, gradients = torch.randn(1024, 1024), torch.zeros(4 * MIB)

    def compute() -> None:
        for _ in range(4):
            torch.mm(a, a)

    def both() -> None:
        work = dist.all_reduce(gradients, group=group, async_op=True)
        compute()
        assert work is not None
        work.wait()

    calls = {"compute": compute, "reduce": lambda: dist.all_reduce(gradients, group=group), "both": both}
    found = times_s(calls, 16 * MIB)
    if dist.get_rank() == 0:
        hidden = (found["compute"] + found["reduce"] - found["both"]) / min(found["compute"], found["reduce"])
        milliseconds = ", ".join(f"{call} {seconds * 1e3:.1f} ms" for call, seconds in found.items())
        print(f"overlap, {name}, {group.size()} ranks: {milliseconds}: {hidden:.0%} of the shorter hidden", flush=True)


def run(arguments: argparse.Namespace) -> None:
    """Run as one of the ranks."""
    from fujimi_parallel.world import join

    with join("gloo"):
        mpi = dist.new_group(backend="mpi")
        assert isinstance(mpi, dist.ProcessGroup)
        assert dist.group.WORLD is not None
        sizes = [nbytes for nbytes in SIZES if nbytes <= arguments.largest]
        for collective in COLLECTIVES if arguments.all else COLLECTIVES[:1]:
            compare(collective, sizes, mpi)
        overlap(dist.group.WORLD, "gloo")
        overlap(mpi, "mpi")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--largest", type=int, default=SIZES[-1], help="bytes")
    arguments = parser.parse_args()
    if "PMI_RANK" in os.environ or "OMPI_COMM_WORLD_RANK" in os.environ:
        run(arguments)
        return
    for ranks in arguments.ranks:
        environment = {"OMP_NUM_THREADS": "1"} | dict(os.environ)
        subprocess.run(["mpiexec", "-n", str(ranks), sys.executable, *sys.argv], check=True, env=environment)


if __name__ == "__main__":
    main()
