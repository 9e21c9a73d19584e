"""Runs three steps of a job on real ranks; rank 0 writes down communication and products of the last."""

import json
import sys
from pathlib import Path

import torch
from fujimi_core.job import load as load_job
from fujimi_core.workload import Collective
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.world import join
from fujimi_train.plugin import fujimi_models
from fujimi_train.program import Program


def main():
    job = load_job(Path(sys.argv[1]))
    model = next(model for model in fujimi_models() if model.name == job.model.name)
    torch.set_num_threads(1)
    with join() as world:
        program = Program(job, model, world, device=torch.device("cpu"))
        batch = job.batch_on(world.size)
        for number in range(3):
            pictures_BHW = torch.zeros(batch, job.data.pixels, job.data.pixels, dtype=torch.uint8)
            with Recorder() as recorder:
                program.step(number, pictures_BHW, torch.zeros(batch, dtype=torch.int64))
        if world.rank == 0:
            found = [
                [event.kind, event.nbytes, event.dtype, event.phase]
                if isinstance(event, Collective)
                else [event.op, [list(shape) for shape in event.shapes], event.flops]
                for event in recorder.events
                if isinstance(event, Collective) or event.flops
            ]
            Path(sys.argv[2]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
