"""Published training runs on Fugaku, as jobs."""

import csv
import statistics
from collections.abc import Sequence
from importlib.resources import files

from fujimi_core.job import from_table
from fujimi_core.published import PublishedRun, PublishedRuns

_FILE = files("fujimi_a64fx") / "published" / "mlperf_hpc_cosmoflow.csv"
#: Round, division, and the model whose kernels it has.
_ROUNDS = {("v0.7", "closed"): "cosmoflow_open", ("v1.0", "closed"): "cosmoflow", ("v1.0", "open"): "cosmoflow_open"}
_NODES = 512


def published_runs() -> list[PublishedRuns]:
    """Tables of this package."""
    return [
        PublishedRuns(
            name="cosmoflow",
            source="MLCommons, MLPerf HPC v0.7 and v1.0 results, CosmoFlow on 512 nodes; TensorFlow",
            goal=0.06,
            runs=_cosmoflow,
        )
    ]


def _cosmoflow() -> Sequence[PublishedRun]:
    """A row for each round and division: the median of its runs, which are all alike."""
    rows = list(csv.DictReader(_FILE.read_text(encoding="utf-8").splitlines()))
    return [_run(*key, model, [row for row in rows if _key(row) == key]) for key, model in _ROUNDS.items()]


def _key(row: dict[str, str]) -> tuple[str, str]:
    return row["version"], row["system"].rpartition("_")[2]


def _run(version: str, division: str, model: str, rows: Sequence[dict[str, str]]) -> PublishedRun:
    batch, samples = int(rows[0]["global_batch"]), int(rows[0]["train_samples"])
    epoch_s = statistics.median(float(row["train_epoch_median_s"]) for row in rows)
    name = f"CosmoFlow {version}, {division}, batch {batch}"
    job = from_table(
        {
            "name": name,
            "model": {"name": model, "channels": 4},
            "data": {"family": "visualatom", "classes": 4, "instances": samples // 4, "pixels": 128},
            "train": {"steps": samples // batch, "global_batch": batch},
            "parallel": {"precision": "float32"},
        }
    )
    return PublishedRun(name=name, job=job, machine="fugaku", nodes=_NODES, step_s=epoch_s * batch / samples)
