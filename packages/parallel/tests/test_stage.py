import pytest
import torch
from fujimi_core.errors import JobError, PluginError
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Sharding, Style
from fujimi_parallel.axes import Axes
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.stage import Builder, Held, Stage, whole_stage
from fujimi_parallel.world import World
from torch import nn

SHARDING = Sharding(
    first="embed",
    blocks="blocks",
    last="head",
    styles={"embed": Style.VOCABULARY, "blocks.*.fc": Style.COLUMN, "head": Style.COLUMN},
    heads="blocks.*.heads",
    whole_sequence=False,
    causal=True,
)


class Block(nn.Module):
    def __init__(self, heads):
        super().__init__()
        self.heads, self.fc, self.norm = heads, nn.Linear(4, 12), nn.LayerNorm(12)

    def forward(self, x):
        return x + self.norm(self.fc(x))[..., :4]


class Tiny(nn.Module):
    def __init__(self, *, blocks=4, heads=6, words=12):
        super().__init__()
        self.embed = nn.Embedding(words, 4)
        self.blocks = nn.Sequential(*(Block(heads) for _ in range(blocks)))
        self.head = nn.Linear(4, words)

    def forward(self, x):
        return self.head(self.blocks(self.embed(x)))


def built(number=0, stages=1, *, ranks=1, rank=0, seed=0, sharding=SHARDING, **how):
    """A stage of one rank; tensor-parallel ranks are only made out."""
    mesh = Mesh.of(pp=1, dp=1, sp=1, tp=ranks)
    with torch.device("meta"):
        model = Tiny(**how)

    def build(world):
        builder = Builder(model, sharding, Axes(world, mesh), device=torch.device("cpu"), seed=seed)
        return builder.build(number, stages, ready=lambda *_: None)

    if ranks == 1:
        return build(World(rank=0, mesh=mesh))
    with fake_world(mesh, rank=rank) as world:
        return build(world)


@pytest.mark.parametrize("layout", ["tensor", "pipeline", "both"])
def test_initial_values_of_any_layout_are_those_of_one_process(engine, layout):
    assert all(found["initial values"][layout][0] for found in engine)


def test_stages_have_all_parameters_once(engine):
    # embedding 12 x 16 and positions 8 x 16, four blocks, norm and head 12 x 16 + 12
    numel = 320 + 4 * (2 * 16 + 48 * 16 + 48 + 16 * 16 + 16) + 2 * 16 + 204
    assert sum(found["initial values"]["pipeline"][1] for found in engine) == numel


def test_stages_one_after_the_other_compute_what_the_network_does():
    whole = Tiny()
    whole.load_state_dict(built().parameters_by_name())
    x = torch.randint(12, (2, 3))
    y = x
    for number in range(3):
        y = built(number, 3)(y)
    assert torch.equal(y, whole(x))


def test_parts_are_named_as_in_the_network():
    names = [list(dict(built(number, 2).named_parts())) for number in range(2)]
    assert names == [["embed", "blocks.0", "blocks.1"], ["blocks.2", "blocks.3", "head"]]
    assert set(built(1, 2).parameters_by_name()) == set(built(1, 2).held)


def test_values_depend_on_seed_and_name_only():
    first, again, other = (built(seed=seed).parameters_by_name() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert not torch.equal(first["blocks.0.fc.weight"], first["blocks.1.fc.weight"])


def test_each_part_is_ready_before_the_next_takes_memory():
    with torch.device("meta"):
        model = Tiny()
    mesh = Mesh.of(pp=1, dp=1, sp=1, tp=1)
    seen = []

    def ready(name, part):
        seen.append(name)
        ones_to_come = [p for key, p in model.named_parameters() if not key.startswith(tuple(seen))]
        assert all(parameter.is_meta for parameter in ones_to_come)
        assert not any(parameter.is_meta for parameter in part.parameters())

    axes = Axes(World(rank=0, mesh=mesh), mesh)
    Builder(model, SHARDING, axes, device=torch.device("cpu"), seed=0).build(0, 1, ready=ready)
    assert seen == ["embed", "blocks.0", "blocks.1", "blocks.2", "blocks.3", "head"]


def test_held_part_says_where_it_is():
    stage = built(ranks=3, rank=2)
    assert stage.held["blocks.1.fc.weight"] == Held(shape=(12, 4), block=((8, 12), (0, 4)))
    assert not stage.held["blocks.1.fc.weight"].is_whole
    assert stage.held["blocks.1.norm.weight"].is_whole
    assert stage.parameters_by_name()["blocks.1.fc.weight"].shape == (4, 4)


@pytest.mark.parametrize(
    ("how", "message", "mended"),
    [
        ({"ranks": 4}, "6 attention heads do not divide; the nearest that works: tensor = 3", {"ranks": 3}),
        (
            {"ranks": 3, "words": 10},
            "parallel.tensor = 3: embed.weight has extent 10, which 3 ranks cannot share evenly",
            {"ranks": 3, "words": 9},
        ),
        ({"stages": 5}, "virtual_stages = 5: 4 blocks do not fill 5 stages; the nearest that works: 4", {"stages": 4}),
    ],
)
def test_network_that_cannot_be_shared_names_what_could(how, message, mended):
    with pytest.raises(JobError, match=message):
        built(**how)
    built(**mended)


def test_table_with_a_wrong_name_is_the_plugins_error():
    wrong = Sharding(
        first="embedding", blocks="blocks", last="head", styles={}, heads="blocks.*.heads",
        whole_sequence=True, causal=False,
    )  # fmt: skip
    with pytest.raises(PluginError, match="Tiny has no 'embedding', which its sharding table names"):
        built(sharding=wrong)


def test_module_that_cannot_draw_its_values_is_the_plugins_error():
    with torch.device("meta"):
        model = Tiny()
        model.head = nn.ParameterList([nn.Parameter(torch.empty(3))])
    mesh = Mesh.of(pp=1, dp=1, sp=1, tp=1)
    builder = Builder(model, SHARDING, Axes(World(rank=0, mesh=mesh), mesh), device=torch.device("cpu"), seed=0)
    with pytest.raises(PluginError, match=r"head \(ParameterList\) has parameters but no reset_parameters"):
        builder.build(0, 1, ready=lambda *_: None)


def test_network_without_table_is_one_stage():
    model = Tiny()
    stage = whole_stage(model)
    assert isinstance(stage, Stage)
    assert set(stage.parameters_by_name()) == set(dict(model.named_parameters())) == set(stage.held)
    assert all(held.is_whole for held in stage.held.values())
    x = torch.randint(12, (2, 3))
    assert torch.equal(stage(x), model(x))
