"""Runs steps of many plans on real ranks over gloo; each rank writes down what it sent, multiplied and held."""

import json
import os
import sys
import traceback
from pathlib import Path

import torch
from fujimi_core.job import from_table
from fujimi_core.mesh import Mesh
from fujimi_core.plan import plan_of
from fujimi_parallel import offload
from fujimi_parallel.capture.compiler import compiler_left_out
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.world import join
from fujimi_train.program import Program


def main():
    """Write to ``argv[1]/RANK`` what this rank does in the plans of ``argv[1]/plans.json``."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    with compiler_left_out(), join("gloo") as world:
        try:
            found = [recorded(world, **plan) for plan in json.loads((folder / "plans.json").read_text())]
            (folder / str(world.rank)).write_text(json.dumps(found))
        except Exception:
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)  # the others wait for this rank; the launcher stops them


def recorded(world, *, kind, depth, table, smallest_offloaded_bytes):
    """Sequence and peak memory of the second step of a plan."""
    from conftest import planned_model, sequence_of  # lies beside this program, which pytest imports from elsewhere

    offload.SMALLEST_BYTES = smallest_offloaded_bytes
    job = from_table(table)
    shared = {axis.name: axis.extent for axis in plan_of(job, world.size).mesh.axes if axis.extent > 1}
    with Recorder(Mesh.of(**shared)) as recorder:
        program = Program(job, planned_model(kind, depth), world, device=torch.device("cpu"))
        samples, labels = batch(program)
        for number in range(2):
            recorder.restart()
            program.step(number, samples, labels)
    return {"sequence": sequence_of(recorder.events), "peak_bytes": recorder.memory.peak.total}


def batch(program):
    """Samples and labels of a rank, if it looks at them."""
    size, data = program.plan.batch, program.job.data
    if data.is_tokens:
        samples, labels = (torch.zeros(size, data.sequence, dtype=torch.int64) for _ in range(2))
    else:
        samples = torch.zeros(size, data.pixels, data.pixels, dtype=torch.uint8)
        labels = torch.zeros(size, dtype=torch.int64)
    return samples if program.network.has_first else None, labels if program.network.has_last else None


if __name__ == "__main__":
    main()
