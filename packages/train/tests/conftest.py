import json
import shutil
import sys
from pathlib import Path

import pytest
from fujimi_core.job import from_table
from fujimi_core.offers import Model
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Kernel
from fujimi_data.generation import generate, recipe_of
from fujimi_train import device, loop, plugin
from fujimi_train.gpt import Gpt, GptShape
from fujimi_train.vit import VisionTransformer, VitShape

TINY = VitShape(width=16, depth=2, heads=2)
#: Of networks whose plans are captured; eight ranks can share each layer.
PLANNED = {"width": 32, "heads": 8}


def tiny_model():
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

    return Model(name="tiny", summary="for tests", build=build, sharding=sharding_of("vit"))


def sharding_of(kind):
    """How the big networks of a kind are shared among ranks."""
    return next(model.sharding for model in plugin.fujimi_models() if model.name.startswith(kind))


def planned_model(kind, depth):
    """A tiny GPT or vision transformer with so many blocks, shared among ranks as the big ones are."""

    def build(job):
        if kind == "gpt":
            return Gpt(GptShape(depth=depth, **PLANNED), sequence=job.data.sequence, vocabulary=job.data.vocabulary)
        shape, data = VitShape(depth=depth, **PLANNED), job.data
        return VisionTransformer(shape, pixels=data.pixels, patch=job.model.patch, channels=1, classes=data.classes)

    return Model(name=kind, summary="for tests", build=build, sharding=sharding_of(kind))


def sequence_of(events):
    """Communication and matrix products, in order, as plain values."""
    return [_plain(event) for event in events if not isinstance(event, Kernel) or event.flops]


def _plain(event):
    if isinstance(event, Kernel):
        return [event.op, [list(shape) for shape in event.shapes], event.flops]
    partner = [list(event.axes), event.dtype] if event.KIND == "collective" else [event.axis, event.offset]
    return [event.kind if event.KIND == "collective" else event.KIND, event.nbytes, event.phase, *partner]


@pytest.fixture
def tiny():
    """The network of `make_job`."""
    return tiny_model()


@pytest.fixture(scope="session")
def make_planned_model():
    """Makes networks whose plans are captured."""
    return planned_model


@pytest.fixture(scope="session")
def in_order():
    """Communication and matrix products of some events."""
    return sequence_of


@pytest.fixture
def make_plugins(tiny):
    """All installed plugins, the tiny network, and those given."""

    class Tiny:
        @plugin.hookimpl
        def fujimi_models(self):
            return [tiny]

    def make(*more):
        found = Plugins.installed(strict=True)
        for number, each in enumerate([Tiny(), *more]):
            found.register(each, f"test {number}")
        return found

    return make


@pytest.fixture
def plugins(make_plugins):
    """All installed plugins, and the tiny network."""
    return make_plugins()


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
            "train": {"steps": 6, "batch_per_rank": 4, "out": str(tmp_path / "runs")},
            "optimizer": {"learning_rate": 0.01},
            "parallel": {"precision": "float32"},
        }
        for section, keys in sections.items():
            table[section] = {**table.get(section, {}), **keys}
            table[section] = {key: value for key, value in table[section].items() if value is not None}
        return from_table(table)

    return make


@pytest.fixture
def dataset(tmp_path, plugins):
    """The pictures that `make_job` names."""
    generator = plugins.generator("visualatom")
    recipe = recipe_of(generator, classes=3, instances=10, pixels=16, seed=5, samples_per_shard=20)
    generate(generator, recipe, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def quick_peak(monkeypatch):
    """Measures the peak for a moment only, and leaves the number of threads as it is."""
    monkeypatch.setattr(device, "_MEASURE_S", 0.01)
    monkeypatch.setattr(loop, "share_cores", lambda world: 1)


@pytest.fixture(scope="session")
def mpiexec():
    """The launcher that the mpich wheel brings."""
    found = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    assert found, "the mpich wheel brings mpiexec; install the extra 'test'"
    return found


@pytest.fixture
def read_log():
    """Reads the steps of a run's log, by number."""

    def read(directory):
        entries = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
        return {entry["step"]: entry for entry in entries if "loss" in entry}

    return read
