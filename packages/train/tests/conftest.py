import shutil
import sys
from pathlib import Path

import pytest
from fujimi_core.job import from_table
from fujimi_core.offers import Model
from fujimi_core.plugins import Plugins
from fujimi_data.generation import generate
from fujimi_train import plugin
from fujimi_train.vit import VisionTransformer, VitShape

TINY = VitShape(width=16, depth=2, heads=2)


@pytest.fixture
def tiny():
    """A vision transformer of a few thousand parameters."""

    def build(job):
        return VisionTransformer(
            TINY,
            pixels=job.data.pixels,
            patch=job.model.patch,
            channels=job.model.channels,
            classes=job.data.classes,
            drop_path=job.model.drop_path,
        )

    return Model(name="tiny", summary="for tests", build=build)


@pytest.fixture
def plugins(tiny):
    """All installed plugins, and the tiny network."""

    class Tiny:
        @plugin.hookimpl
        def fujimi_models(self):
            return [tiny]

    found = Plugins.installed(strict=True)
    found.register(Tiny(), "tiny")
    return found


@pytest.fixture
def make_job(tmp_path):
    """Makes jobs of the tiny network; keywords replace keys of the sections."""

    def make(name="test", **sections):
        table = {
            "name": name,
            "model": {"name": "tiny", "patch": 8, "channels": 1},
            "data": {
                "path": str(tmp_path / "data"),
                "family": "visualatom",
                "classes": 3,
                "instances": 10,
                "pixels": 16,
            },
            "train": {"steps": 6, "batch_per_rank": 4, "precision": "float32", "out": str(tmp_path / "runs")},
            "optimizer": {"learning_rate": 0.01},
        }
        for section, keys in sections.items():
            table[section] = {**table.get(section, {}), **keys}
            table[section] = {key: value for key, value in table[section].items() if value is not None}
        return from_table(table)

    return make


@pytest.fixture
def dataset(tmp_path, plugins):
    """The pictures that `make_job` names."""
    generate(plugins.generator("visualatom"), tmp_path / "data", classes=3, instances=10, pixels=16)
    return tmp_path / "data"


@pytest.fixture
def mpiexec():
    """The launcher that the mpich wheel brings."""
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    assert found, "the mpich wheel brings mpiexec; install the extra 'test'"
    return found
