import re
import subprocess
import sys

import pytest
from fujimi_core.errors import JobError
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

OFFERED = {model.name: model for model in fujimi_models()}
OF_ANY_SIZE = ("vit", "gpt")
SIZE = {"width": 64, "depth": 2, "heads": 4}
VITS = [name for name in OFFERED if name.startswith("vit")]
GPTS = [name for name in OFFERED if name.startswith("gpt")]
COSMOFLOWS = [name for name in OFFERED if name.startswith("cosmoflow")]


@pytest.fixture
def job_of(make_job):
    """Makes a job that trains an offered network on what it was made for."""

    def make(name, **model):
        model = (SIZE if name in OF_ANY_SIZE else {}) | model
        if name in VITS:
            patch = 14 if name == "vit_huge" else 16
            return make_job(
                model={"name": name, "patch": patch, "channels": 3, **model}, data={"pixels": 224, "classes": 1000}
            )
        if name in COSMOFLOWS:
            data = {"pixels": 128, "classes": 4}
            return make_job(model={"name": name, "patch": 16, "channels": 4, **model}, data=data)
        sequence = 1024 if name.startswith("gpt2") else 2048
        vocabulary = 48_588 if name == "gpt_13b" else 50_257
        sizes = {"sequence": sequence, "vocabulary": vocabulary, "classes": None, "instances": None, "pixels": None}
        return make_job(model={"name": name, **model}, data={"family": "tokens", **sizes})

    return make


def test_offers_import_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", HEAVY], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_vision_transformers_are_built_as_the_job_says(make_job):
    job = make_job(model={"name": "vit_tiny", "patch": 4, "channels": 2, "drop_path": 0.5})
    network = OFFERED["vit_tiny"].build(job)
    assert tuple(network.embed.patches.weight.shape) == (192, 2, 4, 4)
    assert network.head.linear.out_features == 3
    assert network.blocks[-1].drop_path == 0.5


def test_gpts_are_built_as_the_job_says(job_of):
    import torch

    with torch.device("meta"):
        network = OFFERED["gpt2_small"].build(job_of("gpt2_small", drop_path=0.5))
    assert tuple(network.embed.tokens.weight.shape) == (50_257, 768)
    assert tuple(network.embed.positions.shape) == (1, 1024, 768)
    assert network.head.linear.out_features == 50_257
    assert network.blocks[-1].drop_path == 0.5


def test_summaries_tell_the_number_of_parameters_that_the_networks_have(job_of):
    import torch

    for name, offered in OFFERED.items():
        if name in OF_ANY_SIZE:
            continue
        with torch.device("meta"):
            millions = sum(parameter.numel() for parameter in offered.build(job_of(name)).parameters()) / 1e6
        told = float(offered.summary.split(", ")[1].split(" M")[0])
        assert abs(told - millions) < 1, name


@pytest.mark.parametrize("name", VITS + GPTS)
def test_sharding_names_what_the_network_has(job_of, name):
    import torch

    sharding = OFFERED[name].sharding
    with torch.device("meta"):
        network = OFFERED[name].build(job_of(name))
    assert [child for child, _ in network.named_children()] == [sharding.first, sharding.blocks, sharding.last]
    layers = {re.sub(r"\.\d+\.", ".*.", each) for each, module in network.named_modules() if hasattr(module, "weight")}
    assert set(sharding.styles) <= layers
    unshared = {each for each in layers - set(sharding.styles) if "norm" not in each}
    assert unshared == ({"embed.patches", "head.linear"} if name in VITS else set())
    heads = [network.get_submodule(f"blocks.{block}.attention").heads for block in range(len(network.blocks))]
    assert sharding.heads == "blocks.*.attention.heads"
    assert all(number == heads[0] > 1 for number in heads)
    assert all(block.attention.causal == sharding.causal for block in network.blocks)
    assert sharding.whole_sequence == (name in VITS)


def test_network_of_pictures_refuses_tokens_with_the_way_out(job_of, make_job):
    job = make_job(model={"name": "vit_tiny"}, data=_section(job_of("gpt2_small")))
    with pytest.raises(JobError) as caught:
        OFFERED["vit_tiny"].build(job)
    assert str(caught.value) == (
        f"job 'test': vit_tiny takes pictures, but data.family is 'tokens'; let model.name be one of {', '.join(GPTS)}"
        ", or data.family a generator of pictures, with data.classes and data.instances"
    )


def test_network_of_tokens_refuses_pictures_with_the_way_out(make_job):
    with pytest.raises(JobError) as caught:
        OFFERED["gpt_13b"].build(make_job(model={"name": "gpt_13b"}))
    assert str(caught.value) == (
        f"job 'test': gpt_13b takes tokens, but data.family is 'visualatom', of pictures; let model.name be one of "
        f"{', '.join(VITS)}, or data.family 'tokens', with data.sequence and data.vocabulary"
    )


def _section(job):
    sizes = {"sequence": job.data.sequence, "vocabulary": job.data.vocabulary}
    return {"family": "tokens", **sizes, "classes": None, "instances": None, "pixels": None}


@pytest.mark.parametrize("name", OF_ANY_SIZE)
def test_network_of_any_size_has_the_size_of_the_job(job_of, name):
    network = OFFERED[name].build(job_of(name, width=48, depth=3, heads=2, dropout=0.25, attention="unfused"))
    assert len(network.blocks) == 3
    assert network.blocks[0].fc1.weight.shape == (192, 48)
    attention = network.blocks[0].attention
    assert (attention.heads, attention.dropout, attention.kind) == (2, 0.25, "unfused")


def test_network_of_any_size_asks_for_what_is_missing(job_of):
    with pytest.raises(JobError, match=r"gpt is of any size: give model.depth and model.heads"):
        OFFERED["gpt"].build(job_of("gpt", depth=None, heads=None))


def test_network_with_a_size_of_its_own_takes_no_other(job_of):
    with pytest.raises(JobError, match=r"vit_tiny has a width of its own; leave model.width out"):
        OFFERED["vit_tiny"].build(job_of("vit_tiny", width=64))


def test_network_with_a_depth_of_its_own_can_be_made_less_deep(job_of):
    network = OFFERED["vit_tiny"].build(job_of("vit_tiny", depth=2))
    assert len(network.blocks) == 2
    assert network.blocks[0].fc1.weight.shape == (768, 192)
