"""What the programs that run on several ranks have in common."""

import json
import sys
import traceback
import warnings
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist


def run_checks(program):
    """Run the functions ``check_*`` of a program; write what failed to ``argv[1]/RANK``."""
    warnings.simplefilter("error")
    torch.set_num_threads(1)
    dist.init_process_group("mpi")
    dist.group.WORLD.set_timeout(timedelta(seconds=30))
    checks = {name.removeprefix("check_"): each for name, each in program.items() if name.startswith("check_")}
    failed = {name: failure_of(check) for name, check in checks.items()}
    (Path(sys.argv[1]) / str(dist.get_rank())).write_text(json.dumps(failed))
    dist.destroy_process_group()


def failure_of(check):
    try:
        check()
    except Exception:
        return traceback.format_exc()
    return ""
