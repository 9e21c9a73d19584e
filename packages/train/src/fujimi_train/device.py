"""The device of this rank: which, in what precision, and how fast it is."""

import os
import platform
import time
from pathlib import Path

import torch
from fujimi_core.job import Job, Precision
from fujimi_parallel.world import World

_GEMM_EXTENT = 1024
_MEASURE_S = 0.5


def device_of(world: World) -> torch.device:
    """The GPU of this rank if the node has any, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", world.local_rank % torch.cuda.device_count())
    return torch.device("cpu")


def share_cores(world: World) -> int:
    """Give this rank its part of the node's cores; returns how many."""
    threads = max(1, len(os.sched_getaffinity(0)) // world.local_size)
    torch.set_num_threads(threads)
    return threads


def decide_precision(job: Job, device: torch.device) -> Job:
    """Replace precision ``auto``: bfloat16 where the device multiplies it in hardware, else float32."""
    if job.parallel.precision is not Precision.AUTO:
        return job
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else has_fast_bfloat16()
    return job.with_precision(Precision.BFLOAT16 if fast else Precision.FLOAT32)


def device_name(device: torch.device) -> str:
    """Name of the GPU, or of the processor and the number of cores this rank uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{processor()}, {torch.get_num_threads()} core(s)"


def measure_peak(device: torch.device, precision: Precision) -> float:
    """What a large matrix product reaches on this device [FLOP/s].

    The best of repeated products of two matrices of 1024 × 1024, for half a second.
    """
    dtype = torch.float32 if precision is Precision.FLOAT32 else torch.bfloat16
    a, b = (torch.randn(_GEMM_EXTENT, _GEMM_EXTENT, device=device).to(dtype) for _ in range(2))
    best_s, end = float("inf"), time.perf_counter() + _MEASURE_S
    while time.perf_counter() < end:
        start = time.perf_counter()
        (a @ b)[0, 0].item()
        best_s = min(best_s, time.perf_counter() - start)
    return 2 * _GEMM_EXTENT**3 / best_s


def has_fast_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware."""
    cpu = torch.cpu
    return bool(cpu._is_avx512_bf16_supported() or cpu._is_amx_tile_supported())


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
