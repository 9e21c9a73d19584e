"""Published training runs on GPUs, as jobs."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from fujimi_core.job import Job, from_table
from fujimi_core.published import PublishedRun, PublishedRuns

_FOLDER = files("fujimi_gpu") / "published"
Row = Mapping[str, str]

#: Words of GPT-2's vocabulary, and to what Megatron's ranks fill it up.
_GPT2_WORDS, _MEGATRON_MULTIPLE = 50_257, 128
_GPUS_A_NODE = 8
#: Gradients in one piece, after the last backward pass.
_NO_BUCKETS = 2**40
#: Source: PyTorch, ``DistributedDataParallel``, ``bucket_cap_mb``.
_TORCH_BUCKETS = 25 * 2**20
#: Of the runs of SC 2021: samples of a microbatch, blocks of a virtual stage (0: all of a rank), and whether PyTorch
#: sums gradients during the backward pass, in pieces, or Megatron after it, in one.
#: Source: NVIDIA/Megatron-LM, ``examples/sc21/run_table_1.sh``.
_SC21 = {
    "1.7B": (16, 0, True),
    "3.6B": (16, 0, True),
    "7.5B": (16, 0, True),
    "18B": (8, 0, True),
    "39B": (4, 0, False),
    "76B": (2, 5, False),
    "145B": (2, 5, False),
    "310B": (1, 3, False),
    "530B": (1, 1, False),
    "1T": (1, 0, False),
}
#: Width, depth and heads of MPT models, and their vocabulary.
#: Source: mosaicml/llm-foundry, ``scripts/train/yamls/pretrain``, and the parameters that the tables count.
_MPT = {
    "125m": (768, 12, 12),
    "350m": (1024, 24, 16),
    "760m": (1536, 24, 12),
    "1b": (2048, 24, 16),
    "3b": (2560, 32, 20),
    "7b": (4096, 32, 32),
    "13b": (5120, 40, 40),
    "30b": (7168, 48, 56),
    "70b": (8192, 80, 64),
}
_MPT_WORDS = 50_368
#: Rows to which attention and, of the H100, matrix products were fitted.
_FITTED = {
    ("760m", "1024", "a100_40gb"),
    ("760m", "32768", "a100_40gb"),
    ("1b", "2048", "h100_80gb"),
    ("760m", "4096", "h100_80gb"),
}
#: Runs of a node to which the host's time for a kernel was fitted, and the depth of tiles and unaligned products.
_FITTED_VTRAIN = {
    "GPT 1024 x 24, tp 1 dp 8 pp 1, batch 128 by 1",
    "GPT 2048 x 24, tp 1 dp 2 pp 1, batch 16 by 4",
    "GPT 2048 x 12, tp 1 dp 2 pp 1, batch 16 by 4",
    "GPT 2048 x 12, tp 1 dp 2 pp 1, batch 32 by 8",
}
_MPT_MACHINES = {"a100_40gb": "mosaic-a100-40g", "a100_80gb": "mosaic-a100-80g", "h100_80gb": "mosaic-h100"}


def published_runs() -> list[PublishedRuns]:
    """Tables of this package."""
    vtrain = "Megatron-DeepSpeed; VIA-Research/vTrain (Bang et al., MICRO 2024)"
    return [
        PublishedRuns(
            name="a100-multi-node",
            source=f"{vtrain}, measured on up to 512 A100",
            goal=0.05,
            runs=lambda: [_vtrain(row) for row in _rows("a100_multi_node_iterations.csv")],
        ),
        PublishedRuns(
            name="a100-single-node",
            source=f"{vtrain}, measured on 2, 4 and 8 A100 of a node",
            goal=0.08,
            runs=lambda: [_vtrain(row) for row in _rows("a100_single_node_iterations.csv")],
        ),
        PublishedRuns(
            name="megatron",
            source="Narayanan et al., SC 2021, table 1; Korthikanti et al., arXiv 2205.05198, table 5; Megatron-Core",
            goal=0.06,
            runs=lambda: [run for row in _rows("gpu_training_published.csv") for run in _megatron(row)],
        ),
        PublishedRuns(
            name="mpt-fsdp",
            source="mosaicml/llm-foundry, scripts/train/benchmarking: MPT under FSDP",
            goal=0.10,
            runs=lambda: [run for row in _rows("mpt_fsdp_throughput.csv") for run in _mpt(row)],
        ),
    ]


def _rows(name: str) -> Sequence[Row]:
    return list(csv.DictReader((_FOLDER / name).read_text(encoding="utf-8").splitlines()))


def _gpt(
    name: str,
    *,
    width: int,
    depth: int,
    heads: int,
    sequence: int,
    words: int,
    batch: int,
    parallel: Mapping[str, Any],
    model: Mapping[str, Any],
) -> Job:
    return from_table(
        {
            "name": name,
            "model": {"name": "gpt", "width": width, "depth": depth, "heads": heads, **model},
            "data": {"family": "tokens", "sequence": sequence, "vocabulary": words},
            "train": {"steps": 1, "global_batch": batch},
            "optimizer": {"clip_norm": 1.0},
            "parallel": {"precision": "pure_bfloat16", **parallel},
        }
    )


def _megatron_words(row: Row) -> int:
    """Words of the vocabulary, filled up so that ranks share it in multiples."""
    multiple = _MEGATRON_MULTIPLE * int(row["tp"])
    return math.ceil(_GPT2_WORDS / multiple) * multiple


def _megatron_job(row: Row, *, words: int, microbatch: int, recompute: str, **more: Any) -> Job:
    """A GPT under Megatron: gradients in 16 bits, summed after the last backward pass."""
    number = {key: int(row[key]) for key in ("hidden", "heads", "layers", "tp", "dp", "pp", "global_batch")}
    sequence = int(row.get("seq_len") or row["seq"])
    name = f"GPT {number['hidden']} x {number['layers']}, tp {number['tp']} dp {number['dp']} pp {number['pp']}"
    return _gpt(
        f"{name}, batch {number['global_batch']} by {microbatch}",
        width=number["hidden"],
        depth=number["layers"],
        heads=number["heads"],
        sequence=sequence,
        words=words,
        batch=number["global_batch"],
        parallel={
            "data": number["dp"],
            "tensor": number["tp"],
            "pipeline": number["pp"],
            "microbatch": microbatch,
            "recompute": recompute,
            "grad_reduce_dtype": "bfloat16",
            "bucket_bytes": _NO_BUCKETS,
            **more,
        },
        model={"attention": "unfused", "dropout": 0.1},
    )


def _vtrain(row: Row) -> PublishedRun:
    """A run whose ranks share the vocabulary evenly, without filling it up.

    Blocks are computed again on many nodes, where they would not fit otherwise (its files ask for it everywhere). Runs
    of one node fit, and are too fast for that: a block of width 2048 takes 16.2 ms for 8,192 tokens, which would be
    71 % of the peak, where Megatron's own runs of such models reach 44 %.

    Source:
        VIA-Research/vTrain, ``src/config.py`` and ``src/model/gpt_modeling.py``: the vocabulary.
    """
    gpus, ranks = int(row["gpus"]), int(row["tp"])
    job = _megatron_job(
        row,
        words=_GPT2_WORDS // ranks * ranks,
        microbatch=int(row["micro_batch"]),
        recompute="whole" if gpus > _GPUS_A_NODE else "none",
    )
    run = _run(job.name, job, "a100-4hdr", gpus, float(row["iteration_ms"]) / 1e3)
    return replace(run, fitted=run.name in _FITTED_VTRAIN)


def _megatron(row: Row) -> list[PublishedRun]:
    """Rows that say enough; those of SC 2021 are completed by their scripts."""
    if not row["seq"]:
        return []  # Megatron-Core's table: neither microbatch, nor what is recomputed; and tensor ranks overlap there
    gpus = int(row["gpus"])
    step_s = float(row["iter_s"]) if row["iter_s"] else _step_s(row)
    more: dict[str, Any] = {}
    if row["micro_batch"]:
        microbatch = int(row["micro_batch"])
        virtual_stages = int(row["note"].removeprefix("interleave "))
    else:
        microbatch, blocks, in_pieces = _SC21[row["model"]]
        virtual_stages = int(row["layers"]) // int(row["pp"]) // blocks if blocks else 1
        more |= {"bucket_bytes": _TORCH_BUCKETS} if in_pieces else {}
    more |= {"virtual_stages": virtual_stages, "schedule": "interleaved"} if virtual_stages > 1 else {}
    job = _megatron_job(
        row,
        words=_megatron_words(row),
        microbatch=microbatch,
        recompute="selective" if row["recompute"].startswith("selective") else "whole",
        **more,
    )
    name = f"{row['source'].partition(',')[0]} {row['model']}, {row['recompute']}"
    return [
        PublishedRun(name=name, job=job, machine="selene", nodes=max(1, gpus // 8), devices=min(gpus, 8), step_s=step_s)
    ]


def _step_s(row: Row) -> float:
    """Time of a step from operations a second, which count recomputation.

    Source:
        Narayanan et al., SC 2021, equation 3: ``96 B s l h² (1 + s / 6h + V / 16 l h)``.
    """
    batch, tokens, layers, width = (int(row[key]) for key in ("global_batch", "seq", "layers", "hidden"))
    words = _megatron_words(row)
    flops = 96 * batch * tokens * layers * width**2 * (1 + tokens / (6 * width) + words / (16 * layers * width))
    return flops / (float(row["tflops_per_gpu"]) * 1e12 * int(row["gpus"]))


def _mpt(row: Row) -> list[PublishedRun]:
    if row["Precision"] == "amp_fp8":
        return []  # no job here computes in 8 bits
    gpus = int(row["# GPUs"])
    width, depth, heads = _MPT[row["Model"]]
    name = f"MPT-{row['Model']}, {row['SeqLen (T)']} tokens, {gpus} {row['GPU']}"
    job = _gpt(
        name,
        width=width,
        depth=depth,
        heads=heads,
        sequence=int(row["SeqLen (T)"]),
        words=_MPT_WORDS,
        batch=int(row["GlobalBatchSize"]),
        parallel={
            "zero": 3,
            "microbatch": int(row["MicroBatchSize"]),
            "accumulate": int(row["GradAccum"]),
            "recompute": "whole" if row["Activation Checkpointing"] == "True" else "none",  # before torch 2.0
            "grad_reduce_dtype": "bfloat16" if row["MP Mode"] == "PURE" else "float32",
        },
        model={},
    )
    step_s = int(row["GlobalBatchSize (T)"]) / float(row["Throughput (T/s)"])
    fitted = gpus == _GPUS_A_NODE and (row["Model"], row["SeqLen (T)"], row["GPU"]) in _FITTED
    return [replace(_run(name, job, _MPT_MACHINES[row["GPU"]], gpus, step_s), fitted=fitted)]


def _run(name: str, job: Job, machine: str, gpus: int, step_s: float) -> PublishedRun:
    nodes, devices = max(1, gpus // _GPUS_A_NODE), min(gpus, _GPUS_A_NODE)
    return PublishedRun(name=name, job=job, machine=machine, nodes=nodes, devices=devices, step_s=step_s)
