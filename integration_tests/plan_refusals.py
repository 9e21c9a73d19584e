"""Plans that are refused, and the nearest that works, as the message has it."""

from dataclasses import dataclass, replace
from typing import Any

from fujimi_core.errors import JobError
from fujimi_parallel.axes import Axes
from fujimi_parallel.capture.fake_world import fake_world
from plan_cases import DEPTH, LONG, Case


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A plan that cannot be.

    Args:
        case: The plan.
        nearest: What to change in ``[parallel]`` so that it can; None leaves an entry out.
        ranks: That it takes then.
        words: Of the message, which lead there.
    """

    case: Case
    nearest: dict[str, Any]
    ranks: int
    words: str

    @property
    def mended(self) -> Case:
        """The nearest plan."""
        parallel = {**self.case.parallel, **self.nearest}
        return replace(self.case, ranks=self.ranks, parallel={key: v for key, v in parallel.items() if v is not None})


def refusals() -> list[Refusal]:
    """One of each kind."""
    return [
        _refusal(16, "vit", {"tensor": 16}, {"tensor": 8}, "tensor = 8"),
        _refusal(4, "gpt", {"pipeline": 4}, {"pipeline": 2}, "2 stages"),
        _refusal(16, "gpt", {"sequence": 16}, {"sequence": 8}, "at most 8 ranks"),
        _refusal(6, "gpt", {"tensor": 4}, {}, "8 ranks", then=8),
        _refusal(8, "gpt", {"data": 2, "tensor": 2}, {"data": None}, "leave parallel.data out"),
        _refusal(3, "vit", {}, {}, "other ranks", then=4),
        _refusal(2, "vit", {"accumulate": 3}, {"accumulate": 2}, "accumulate = 2"),
        _refusal(2, "vit", {"microbatch": 6}, {"microbatch": 4}, "microbatch = 4"),
        _refusal(
            3,
            "gpt",
            {"pipeline": 3, "schedule": "interleaved", "virtual_stages": 2, "microbatch": 4},
            {"virtual_stages": None},
            "virtual_stages = 1",
            depth=6,
        ),
        _refusal(2, "gpt", {"pipeline": 2, "virtual_stages": 2}, {"schedule": "interleaved"}, '"interleaved"', depth=4),
        _refusal(2, "gpt", {"schedule": "interleaved", "virtual_stages": 2}, {"pipeline": 2}, "pipeline = 2", depth=4),
        _refusal(2, "gpt", {"recompute": [2]}, {"recompute": [1]}, "the last is 1"),
        _refusal(2, "gpt", {"zero": 4}, {"zero": 3}, "3"),
        _refusal(2, "gpt", {"schedule": "zerobubble"}, {"schedule": "zero-bubble"}, "'zero-bubble'"),
        _refusal(2, "gpt", {"placement": ["dp", "tp"]}, {"placement": ["pp", "dp", "sp", "tp"]}, "pp, dp, sp, tp"),
    ]


def message_of(case: Case) -> str | None:
    """Why a plan is refused; None if it is not. Nothing is computed."""
    try:
        mesh = case.plan.mesh
        for rank in {0, mesh.world_size - 1}:
            with fake_world(mesh, rank=rank) as world:
                case.network(Axes(world, mesh))
    except JobError as wrong:
        return str(wrong)
    return None


def _refusal(
    ranks: int,
    model: str,
    parallel: dict[str, Any],
    nearest: dict[str, Any],
    words: str,
    *,
    depth: int = DEPTH,
    then: int | None = None,
) -> Refusal:
    case = Case(ranks=ranks, model=model, depth=depth, steps=LONG, parallel=parallel)
    return Refusal(case=case, nearest=nearest, ranks=then or ranks, words=words)
