"""Plans that the coverage table goes through: tiny models, shared by the tables of the big ones."""

import contextlib
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import torch
from fujimi_core.job import Job, from_table
from fujimi_core.offers import Model, Sharding
from fujimi_core.plan import Plan, plan_of
from fujimi_parallel.axes import Axes
from fujimi_parallel.network import Network
from fujimi_train.gpt import Gpt, GptShape
from fujimi_train.plugin import fujimi_models
from fujimi_train.vit import VisionTransformer, VitShape
from torch._subclasses.fake_tensor import unset_fake_temporarily

BATCH = 16
#: Steps of training: of the whole table up to 8 ranks, and of its quick part and 16 ranks.
LONG, SHORT = 50, 3
WIDTH, HEADS, DEPTH = 32, 8, 2
TOKENS, VOCABULARY = 16, 24
PIXELS, PATCH, CLASSES = 16, 4, 6
MODELS = ("gpt", "vit")
AXES = {"data": "dp", "tensor": "tp", "pipeline": "pp", "sequence": "sp"}

#: A value of each option, by its name.
Row = dict[str, Any]
#: Value of one option.
Choice = tuple[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One plan of one tiny model.

    Args:
        ranks: That it runs on.
        model: ``gpt`` or ``vit``.
        depth: Blocks of the model.
        steps: Of training.
        parallel: Table ``[parallel]`` of the job.
    """

    ranks: int
    model: str
    depth: int
    steps: int
    parallel: Mapping[str, Any]

    @cached_property
    def job(self) -> Job:
        """The job; its precision is that of the parameters."""
        of_model: dict[str, dict[str, Any]] = {
            "gpt": {
                "model": {"name": "gpt"},
                "data": {"family": "tokens", "sequence": TOKENS, "vocabulary": VOCABULARY},
            },
            "vit": {
                "model": {"name": "vit", "patch": PATCH, "channels": 1},
                "data": {"family": "visualatom", "classes": CLASSES, "instances": 1, "pixels": PIXELS},
            },
        }
        train = {"steps": self.steps, "global_batch": BATCH}
        parallel = {"precision": "float32", **self.parallel}
        return from_table({"name": "plan", "train": train, "parallel": parallel, **of_model[self.model]})

    @cached_property
    def plan(self) -> Plan:
        """How the ranks share the work."""
        return plan_of(self.job, self.ranks)

    @property
    def single(self) -> "Case":
        """The same microbatches on one rank, one after the other."""
        parallel = {"microbatch": self.plan.microbatch, "accumulate": BATCH // self.plan.microbatch}
        return Case(ranks=1, model=self.model, depth=self.depth, steps=LONG, parallel=parallel)

    @property
    def keeps_order_of_sums(self) -> bool:
        """Whether gradients must be bit-equal: no sum is parted, or a sum of two is, which has only one order."""
        plan, spec = self.plan, self.job.parallel
        parted = plan.extent("tp") * plan.extent("sp") > 1 or spec.grad_reduce_dtype != "float32"
        in_two = plan.extent("dp") == 2 and plan.microbatches * plan.accumulate == 1
        return not parted and (plan.extent("dp") == 1 or in_two)

    def network(self, axes: Axes) -> Network:
        """What one rank holds.

        Raises:
            JobError: If the model cannot be shared like this.
        """
        with unset_fake_temporarily():  # an example has a shape, also in a dry run
            inputs, _ = self.batch()
            example = inputs[: self.plan.microbatch].to("meta")
        return Network(
            Model(name=self.model, summary="", build=self._build, sharding=_shardings()[self.model]),
            self.job,
            self.plan,
            axes,
            example=example,
            device=torch.device("cpu"),
            compute_dtype=torch.float32,
            forward_context=contextlib.nullcontext,
        )

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and labels of all ranks, the same each step: so that there is something to learn."""
        draw = torch.Generator().manual_seed(1)
        if self.model == "gpt":
            words = torch.randint(VOCABULARY, (BATCH, TOKENS + 1), generator=draw)
            return words[:, :-1].contiguous(), words[:, 1:].contiguous()
        pictures = torch.randn(BATCH, 1, PIXELS, PIXELS, generator=draw)
        return pictures, torch.randint(CLASSES, (BATCH,), generator=draw)

    def to_table(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    def _build(self, job: Job) -> Any:
        if self.model == "gpt":
            shape = GptShape(width=WIDTH, depth=self.depth, heads=HEADS)
            return Gpt(shape, sequence=TOKENS, vocabulary=VOCABULARY)
        vit = VitShape(width=WIDTH, depth=self.depth, heads=HEADS)
        return VisionTransformer(vit, pixels=PIXELS, patch=PATCH, channels=1, classes=CLASSES)


def _shardings() -> dict[str, Sharding | None]:
    """How the big models are shared, by the names of the tiny ones."""
    return {model.name[:3]: model.sharding for model in fujimi_models()}


def cases(ranks: int, *, quick: bool) -> list[Case]:
    """Plans for so many ranks.

    A few have each layout over the axes and each value of each option. After them come the layouts without any option,
    and then what is needed until all values of any two options have met, the layout being one. All train for long, but
    on 16 ranks. Quick is the first few, and trains shortly.
    """
    options = [_options(layout) for layout in _layouts(ranks)]
    few = rows = _rows(options, together=1)
    if not quick and ranks <= 8:
        plain = [{name: choices[0] for name, choices in values.items()} for values in options]
        rows = _rows(options, together=2, given=few + plain)
    steps = LONG if ranks <= 8 and not quick else SHORT
    return [_case(ranks, row, steps) for row in rows]


def _layouts(ranks: int) -> list[tuple[int, ...]]:
    """Extents of the four axes: all ranks along one, and all ways to part them evenly, or nearly, among more."""
    powers = [2**number for number in range(int(math.log2(ranks)) + 1)]
    layouts = [layout for layout in itertools.product(powers, repeat=len(AXES)) if math.prod(layout) == ranks]
    if ranks < 16:
        return layouts
    return [layout for layout in layouts if 1 not in layout]


def _options(layout: tuple[int, ...]) -> dict[str, tuple[Any, ...]]:
    """Values that each option can have with a layout, beginning with the plain one."""
    data, _, pipeline, sequence = layout
    has_replicas = data * sequence > 1
    schedules = (("1f1b", 1), ("gpipe", 1), ("interleaved", 2), ("zero-bubble", 1), ("zero-bubble", 2))
    return {
        "layout": (layout,),
        "model": MODELS,
        "schedule": schedules if pipeline > 1 else (None,),
        "zero": (0, 1, 2, 3) if has_replicas else (0,),
        "recompute": ("none", "selective", "full", (1,)),
        "offload": ("none", "optimizer", "activations", "all"),
        "accumulate": (1, 2),
        "grad_reduce_dtype": ("float32", "bfloat16") if has_replicas else ("float32",),
        "placement": (("pp", "dp", "sp", "tp"), ("tp", "sp", "dp", "pp")),
    }


def _rows(options: list[dict[str, tuple[Any, ...]]], *, together: int, given: Sequence[Row] = ()) -> list[Row]:
    """Few rows in which so many values of different options stand together in all ways; greedily found.

    Args:
        options: Of each layout.
        together: How many.
        given: Rows to begin with.
    """
    missing = dict.fromkeys(group for values in options for group in _groups(values, together))
    rows: list[Row] = []
    while missing or len(rows) < len(given):
        if len(rows) < len(given):
            row = given[len(rows)]
        else:
            grown = [_grown(values, missing, together, turn=len(rows)) for values in options]
            row = max(grown, key=lambda row: len(_covered(row, missing, together)))
        for group in _covered(row, missing, together):
            del missing[group]
        rows.append(row)
    return rows


def _groups(values: Mapping[str, tuple[Any, ...]], together: int) -> Iterator[tuple[Choice, ...]]:
    for names in itertools.combinations(values, together):
        for chosen in itertools.product(*(values[name] for name in names)):
            yield tuple(zip(names, chosen, strict=True))


def _covered(row: Row, missing: Mapping[tuple[Choice, ...], None], together: int) -> list[tuple[Choice, ...]]:
    groups: itertools.combinations[Any] = itertools.combinations(row.items(), together)
    return [group for group in groups if group in missing]


def _grown(
    values: Mapping[str, tuple[Any, ...]], missing: Mapping[tuple[Choice, ...], None], together: int, *, turn: int
) -> Row:
    """A row that begins with a missing group, if the layout has one, and grows by what covers most.

    Args:
        values: Of each option.
        missing: Groups of values that no row has yet.
        together: Values in a group.
        turn: Which value is taken where all cover equally much.
    """
    fits = (group for group in missing if all(value in values[name] for name, value in group))
    row: Row = dict(next(fits, ()))
    for name, choices in values.items():
        if name in row:
            continue
        if name != "grad_reduce_dtype":  # gradients in float32 can be compared more sharply
            choices = _rotated(choices, turn)
        grown = [_sorted({**row, name: value}, values) for value in choices]
        row = max(grown, key=lambda row: len(_covered(row, missing, together)))
    return _sorted(row, values)


def _rotated(choices: tuple[Any, ...], turn: int) -> tuple[Any, ...]:
    first = turn % len(choices)
    return choices[first:] + choices[:first]


def _sorted(row: Row, values: Mapping[str, tuple[Any, ...]]) -> Row:
    return {name: row[name] for name in values if name in row}


def _case(ranks: int, row: Row, steps: int) -> Case:
    """The plan of a row; what is as without saying so is left out."""
    extents = dict(zip(AXES, row["layout"], strict=True))
    parallel = {name: extent for name, extent in extents.items() if extent > 1}
    if row["schedule"] is not None:
        schedule, virtual_stages = row["schedule"]
        parallel |= {"schedule": schedule} | ({"virtual_stages": virtual_stages} if virtual_stages > 1 else {})
    plain = _options((1, 1, 1, 1))
    for name in ("zero", "recompute", "offload", "accumulate", "grad_reduce_dtype", "placement"):
        if row[name] != plain[name][0]:
            parallel[name] = list(row[name]) if isinstance(row[name], tuple) else row[name]
    stages = extents["pipeline"] * parallel.get("virtual_stages", 1)
    return Case(ranks=ranks, model=row["model"], depth=max(DEPTH, stages), steps=steps, parallel=parallel)
