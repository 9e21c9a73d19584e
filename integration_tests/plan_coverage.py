"""Compares every kind of plan with a single process, and writes down what is covered.

    python integration_tests/plan_coverage.py --page docs/plans.md

Starts 2, 4, 8 and 16 ranks, each group once, and exits with 1 if anything is further apart than stated.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from plan_cases import AXES, BATCH, LONG, SHORT, WIDTH, Case, cases
from plan_refusals import Refusal, message_of, refusals

RANKS = (2, 4, 8, 16)
QUICK_RANKS = (2, 4)
PROGRAM = Path(__file__).with_name("plan_ranks.py")


_HEAD = ["ranks", "model", "axes", "schedule", "zero", "recompute", "offload", "other", "gradients", "losses", "loss"]
_ABOUT = f"""\
Each plan trains a tiny GPT or a tiny vision transformer (width {WIDTH}; {BATCH} samples a step, the same each step) and
is compared with one process that works on the same microbatches one after the other. Gradients are those of the first
step: the largest difference of any element on any rank, over the largest element of that parameter's gradient. Losses
are those of all steps: the largest difference, over the first loss.

On 2, 4 and 8 ranks all values of any two options, of which the layout over the axes is one, meet in some plan, and all
plans train for {LONG} steps. On 16 ranks all four axes are in use at once, for {SHORT} steps."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What may be apart, and how far.

    Args:
        name: For people.
        gradients: Of the first step: largest difference over the largest element of a parameter's gradient.
        losses: Of any step: difference over the first loss.
        why: What makes them differ.
    """

    name: str
    gradients: float
    losses: float
    why: str


EXACT = Kind(
    name="same order of sums", gradients=0.0, losses=1e-6, why="none; the printed loss alone is a sum in another order"
)
FLOAT32 = Kind(name="float32", gradients=5e-6, losses=2e-4, why="sums in another order")
BFLOAT16 = Kind(name="bfloat16", gradients=2**-6, losses=5e-2, why="gradients are rounded to 8 bits on their way")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A plan, and how far it is from a single process.

    Args:
        case: The plan.
        gradients: As in `Kind`.
        losses: As in `Kind`.
        first: Loss of the first step.
        last: Loss of the last step.
    """

    case: Case
    gradients: float
    losses: float
    first: float
    last: float

    @property
    def kind(self) -> Kind:
        """What may be apart."""
        if self.case.job.parallel.grad_reduce_dtype == "bfloat16":
            return BFLOAT16
        return EXACT if self.case.keeps_order_of_sums else FLOAT32

    @property
    def is_right(self) -> bool:
        """Whether nothing is too far; a number that is none is."""
        return self.gradients <= self.kind.gradients and self.losses <= self.kind.losses


def main() -> int:
    """Run all plans; print and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, help="write the page here; else it is printed only")
    parser.add_argument("--quick", action="store_true", help="few plans and steps, up to 4 ranks")
    parser.add_argument("--backend", choices=("mpi", "gloo"), default="mpi", help="what carries messages")
    arguments = parser.parse_args()
    began = time.monotonic()
    wrong = [_wrong(refusal) for refusal in refusals()]
    found = _measured(arguments.backend, quick=arguments.quick)
    page = _page(found, backend=arguments.backend, seconds=time.monotonic() - began)
    sys.stdout.write(page)
    if arguments.page:
        arguments.page.write_text(page)
    problems = [text for text in wrong if text] + [f"too far apart: {row}" for row in found if not row.is_right]
    sys.stderr.writelines(f"{text}\n" for text in problems)
    return 1 if problems else 0


def _measured(backend: str, *, quick: bool) -> list[Found]:
    memory = Path("/dev/shm")  # offloaded tensors are files; here they cost little
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        return [
            row
            for ranks in (QUICK_RANKS if quick else RANKS)
            for row in _on_ranks(cases(ranks, quick=quick), ranks, Path(folder), backend)
        ]


def _on_ranks(wanted: list[Case], ranks: int, folder: Path, backend: str) -> list[Found]:
    """Start so many ranks, which run all cases one after the other."""
    (folder / f"{ranks}.json").write_text(json.dumps([case.to_table() for case in wanted]))
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    if mpiexec is None:
        raise SystemExit("there is no mpiexec beside python; pip install mpich")
    command = [mpiexec, "-n", str(ranks), sys.executable, str(PROGRAM), str(folder), backend]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(folder)}
    if subprocess.run(command, env=environment, check=False).returncode:
        raise SystemExit(f"{ranks} ranks failed; the plan that is named last is the culprit")
    lines = (folder / f"{ranks}.found").read_text().splitlines()
    return [Found(case=case, **json.loads(line)) for case, line in zip(wanted, lines, strict=True)]


def _wrong(refusal: Refusal) -> str | None:
    """What is wrong with a refusal: nothing, if it leads to a plan that works."""
    message = message_of(refusal.case)
    if message is None:
        return f"not refused: {refusal.case}"
    if refusal.words not in message:
        return f"{refusal.case} is refused without {refusal.words!r}: {message}"
    still = message_of(refusal.mended)
    return still and f"{message} But then: {still}"


def _page(found: list[Found], *, backend: str, seconds: float) -> str:
    exact = sum(row.gradients == 0 for row in found)
    lines = [
        "# Plans",
        "",
        "Made by `python integration_tests/plan_coverage.py --page docs/plans.md`; do not edit.",
        "",
        _ABOUT,
        "",
        f"**{len(found)} plans** over {backend}: {exact} with bit-equal gradients, "
        f"{sum(not row.is_right for row in found)} out of tolerance. {seconds:.0f} s.",
        "",
        *_table(
            ["where", "plans", "gradients", "may be", "losses", "may be", "what differs"],
            [_summary(kind, found) for kind in (EXACT, FLOAT32, BFLOAT16)],
        ),
        "",
        "## By axes",
        "",
        *_table(["axes in use", *(f"{ranks} ranks" for ranks in RANKS)], _by_axes(found)),
        "",
        "## Refused",
        "",
        "Each message leads to the nearest plan that works; that it does is checked.",
        "",
        *_table(
            ["ranks", "plan", "message", "works"],
            [[str(r.case.ranks), _plan(r.case), str(message_of(r.case)), _works(r)] for r in refusals()],
        ),
        "",
        "## All plans",
        "",
        *_table(_HEAD, [_cells(row) for row in found]),
    ]
    return "\n".join(lines) + "\n"


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _summary(kind: Kind, found: list[Found]) -> list[str]:
    rows = [row for row in found if row.kind is kind]
    worst = [max((getattr(row, key) for row in rows), default=0.0) for key in ("gradients", "losses")]
    return [
        kind.name,
        str(len(rows)),
        _number(worst[0]),
        _number(kind.gradients),
        _number(worst[1]),
        _number(kind.losses),
        kind.why,
    ]


def _by_axes(found: list[Found]) -> list[list[str]]:
    """How many plans use which axes."""
    counted = Counter((_axes(row.case), row.case.ranks) for row in found)
    names = sorted({axes for axes, _ in counted}, key=lambda axes: (len(axes), axes))
    return [[" x ".join(axes), *(str(counted[axes, ranks]) for ranks in RANKS)] for axes in names]


def _axes(case: Case) -> tuple[str, ...]:
    return tuple(name for name, axis in AXES.items() if case.plan.extent(axis) > 1)


def _cells(row: Found) -> list[str]:
    case, spec = row.case, row.case.job.parallel
    stages = f" x {spec.virtual_stages}" if spec.virtual_stages > 1 else ""
    mark = "" if row.is_right else " **too far**"
    return [
        str(case.ranks),
        case.model,
        " x ".join(f"{name} {case.plan.extent(AXES[name])}" for name in _axes(case)),
        f"{spec.schedule.value}{stages}" if spec.pipeline > 1 else "",
        str(spec.zero),
        str(case.parallel.get("recompute", "none")),
        spec.offload.value,
        ", ".join(_other(case)),
        _number(row.gradients) + mark,
        f"{_number(row.losses)} in {case.steps} steps",
        f"{row.first:.3f} to {row.last:.3f}",
    ]


def _other(case: Case) -> list[str]:
    return [
        f"{name} {' '.join(value) if isinstance(value, list) else value}"
        for name, value in case.parallel.items()
        if name in ("accumulate", "grad_reduce_dtype", "placement")
    ]


def _plan(case: Case) -> str:
    return f"{case.model}, {case.depth} blocks: {_entries(case.parallel) or 'data alone'}"


def _works(refusal: Refusal) -> str:
    changed = _entries({name: value for name, value in refusal.nearest.items() if value is not None})
    left_out = ", ".join(f"no {name}" for name, value in refusal.nearest.items() if value is None)
    ranks = f"{refusal.ranks} ranks" if refusal.ranks != refusal.case.ranks else ""
    return ", ".join(text for text in (changed, left_out, ranks) if text)


def _entries(table: object) -> str:
    assert isinstance(table, dict)
    return ", ".join(f"{name} = {value}" for name, value in table.items())


def _number(apart: float) -> str:
    return "bit-equal" if apart == 0 else f"{apart:.1e}"


if __name__ == "__main__":
    sys.exit(main())
