"""PyTorch's own tests of its backends, which its wheels bring, run on the backend "mpi" as torch tests its own MPI."""

import json
import os
import sys
import unittest
import warnings
from pathlib import Path

from fujimi_core.launch import launch_of

FOLDER = Path(sys.argv[1])
for name in ("barrier", "test_dir"):
    (FOLDER / name).mkdir(exist_ok=True)
os.environ |= {"BACKEND": "mpi", "WORLD_SIZE": str(launch_of(os.environ).world_size), "TEMP_DIR": str(FOLDER)}
warnings.simplefilter("ignore")

import torch  # noqa: E402 # the tests read the environment
import torch.distributed as dist  # noqa: E402
from torch.testing._internal.common_utils import TestCase  # noqa: E402
from torch.testing._internal.distributed import distributed_test  # noqa: E402

# profiles show no collectives of backends that are written in Python
distributed_test.PROFILING_SUPPORTED_BACKENDS.clear()
distributed_test.SEND_RECV_PROFILING_SUPPORTED_BACKENDS.clear()


class OnMpi(TestCase, distributed_test.DistributedTest._DistTestBase):
    def run(self, result=None):
        try:
            super().run(result)
        except SystemExit as left:  # how some tests say that they need something else, such as a GPU
            result.addSkip(self, f"exit code {left.code}")


def tests():
    """Those whose names hold one of the arguments, or all."""
    names = unittest.defaultTestLoader.getTestCaseNames(OnMpi)
    wanted = sys.argv[2:]
    return unittest.TestSuite(OnMpi(name) for name in names if not wanted or any(part in name for part in wanted))


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("mpi")
    distributed_test.Barrier.init()
    result = unittest.TextTestRunner(verbosity=2).run(tests())
    problems = {case.id(): text for case, text in result.failures + result.errors if "SystemExit" not in text}
    found = {"run": result.testsRun, "skipped": len(result.skipped), "problems": problems}
    (FOLDER / str(dist.get_rank())).write_text(json.dumps(found))
    dist.destroy_process_group()
