"""What the tests of one session share: captures, and the figures that runs are compared with."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from fujimi_core.job import Job, to_toml
from fujimi_core.plugins import Plugins
from fujimi_core.units import count_of
from fujimi_core.workload import Workload

from fujimi_sim import baseline
from fujimi_sim.simulation import Point, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Point):
    """A simulated job: its figures on the largest number of nodes, and those on each.

    Args:
        points: By number of nodes.
    """

    points: Mapping[int, Point] = field(repr=False)

    @classmethod
    def of(cls, report: Report) -> "Run":
        """The run that a report tells of."""
        points = {point.nodes: point for point in report.points}
        largest = points[max(points)]
        return cls(**{each.name: getattr(largest, each.name) for each in fields(Point)}, points=points)


class CapturesOnce(Plugins):
    """Plugins that remember what they captured.

    Args:
        strict: As of `Plugins`.
    """

    def __init__(self, *, strict: bool = False) -> None:
        super().__init__(strict=strict)
        self._captured: dict[tuple[str, int], Workload] = {}

    def capture(self, job: Job, ranks: int) -> Workload:
        """One step of a job on so many ranks; the same one when asked again."""
        key = to_toml(job), ranks
        if key not in self._captured:
            self._captured[key] = super().capture(job, ranks)
        return self._captured[key]


class Guard:
    """Compares points with those in a file, or collects them for it.

    Args:
        path: The file.
        update: Collect points instead of comparing them.
        tolerance: Share by which a figure may change.
    """

    def __init__(self, path: Path, *, update: bool, tolerance: float) -> None:
        self._path = path
        self._update = update
        self._tolerance = tolerance
        self._stored: dict[str, Point] | None = None
        self._collected: dict[str, Point] = {}

    def check(self, job: Path, report: Report, *, seed: int, weak: bool) -> str:
        """Say in words how a job differs from what is stored; empty if it does not, or is collected.

        Raises:
            FujimiError: If the file of stored figures cannot be read.
        """
        if self._stored is None:
            self._stored = {} if self._update and not self._path.exists() else baseline.load(self._path)
        first = report.points[0].nodes
        conditions = f"{f', weak from {first:,}' if weak else ''}{f', seed {seed}' if seed else ''}"
        where = Path(os.path.relpath(job.resolve(), self._path.resolve().parent)).as_posix()
        named = {
            f"{where} on {report.machine}, {count_of(point.nodes, 'node')}{conditions}": point
            for point in report.points
        }
        if self._update:
            self._collected |= named
            return ""
        problems = [self._problem(name, self._stored.get(name), point) for name, point in named.items()]
        return "\n\n".join(filter(None, problems))

    def save(self) -> str:
        """Store what was collected, beside what else is stored; returns what was done, in words."""
        if not self._collected:
            return ""
        baseline.save((self._stored or {}) | self._collected, self._path)
        return f"{count_of(len(self._collected), 'point')} stored in {self._path}"

    def _problem(self, name: str, stored: Point | None, now: Point) -> str:
        if stored is None:
            return f"{name}: no figures of it are stored in {self._path.name}"
        differs = baseline.difference(stored, now, tolerance=self._tolerance)
        share = f"{100 * self._tolerance:.3g} %"
        return differs and f"{name}: more than {share} away from what is stored in {self._path.name}\n\n{differs}"
