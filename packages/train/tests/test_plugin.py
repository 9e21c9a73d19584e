import subprocess
import sys

from fujimi_train.plugin import fujimi_models

HEAVY = """
import sys
from fujimi_core.cli import parser
from fujimi_core.plugins import Plugins
plugins = Plugins.installed(strict=True)
plugins.infos()
parser(plugins)
assert "vit_tiny" in plugins.models()
print(*sorted({"torch", "numba", "rich", "mpi4py"} & set(sys.modules)))
"""


def test_offers_import_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_networks_are_built_as_the_job_says(make_job):
    (offered,) = (model for model in fujimi_models() if model.name == "vit_tiny")
    network = offered.build(make_job(model={"name": "vit_tiny", "patch": 4, "channels": 2, "drop_path": 0.5}))
    assert tuple(network.patches.weight.shape) == (192, 2, 4, 4)
    assert network.head.out_features == 3
    assert network.blocks[-1].drop_path == 0.5


def test_summaries_tell_the_number_of_parameters_that_the_networks_have(make_job):
    import torch

    for offered in fujimi_models():
        job = make_job(
            model={"name": offered.name, "patch": 14 if offered.name == "vit_huge" else 16, "channels": 3},
            data={"pixels": 224, "classes": 1000},
        )
        with torch.device("meta"):
            millions = sum(parameter.numel() for parameter in offered.build(job).parameters()) / 1e6
        told = float(offered.summary.split(", ")[1].split(" M")[0])
        assert abs(told - millions) < 1, offered.name
