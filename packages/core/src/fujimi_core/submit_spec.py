"""What a job asks a batch scheduler for."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fujimi_core.checks import at_least


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitSpec:
    """``[submit]``: what a batch scheduler is asked for; only ``fujimi submit`` reads it.

    Args:
        nodes: How many.
        time_limit_s: After which the scheduler ends the job [s].
        machine: Name of the machine, by which the request is checked and ranks are placed.
        shape: Extents of the grid of nodes; after a colon how they are chosen, in the scheduler's own words:
            ``48x6x48:torus:strict-io``.
        ranks_per_node: Ranks on each node; without, one for each device of the machine, or one.
        threads_per_rank: Threads of each rank; without, what the scheduler's plugin takes for best.
        gpus_per_node: GPUs on each node; 0 for none.
        group: Whose budget pays: PJM's group, Slurm's account.
        queue: Where the job waits: PJM's resource group, Slurm's partition.
        warning_s: How long before the end ranks are warned, to write a checkpoint [s].
        restarts: How often the run is started again: after a failure, and by schedulers that can do it, at the end of
            the time limit.
        stage: Directory on each node to which ``data.path`` is copied first; may name the shell's variables.
        setup: Lines of shell that each rank runs first, such as one that activates a virtual environment.
        environment: Variables of each rank; values may name other variables.
        options: Further options for the scheduler, as they stand in a script behind ``#PJM`` or ``#SBATCH``.
    """

    nodes: int
    time_limit_s: int
    machine: str | None = None
    shape: str = ""
    ranks_per_node: int | None = None
    threads_per_rank: int | None = None
    gpus_per_node: int = 0
    group: str = ""
    queue: str = ""
    warning_s: int = 300
    restarts: int = 3
    stage: str = ""
    setup: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        at_least(self, 1, "nodes", "time_limit_s", "warning_s")
        at_least(self, 0, "gpus_per_node", "restarts")
        for name in ("ranks_per_node", "threads_per_rank"):
            if (number := getattr(self, name)) is not None and number < 1:
                raise ValueError(f"{name} is {number}; at least 1 is needed")
        if self.warning_s >= self.time_limit_s:
            raise ValueError(f"warning_s is {self.warning_s}, but the time limit is {self.time_limit_s} s; take less")
        self._require_shape()
        self._require_lines()

    @property
    def extents(self) -> tuple[int, ...]:
        """Extents of the grid of nodes; none if there is no shape."""
        grid = self.shape.partition(":")[0]
        return tuple(map(int, grid.split("x"))) if grid else ()

    @property
    def allocation(self) -> str:
        """How nodes are chosen, in the scheduler's words; empty if the job does not say."""
        return self.shape.partition(":")[2]

    def _require_shape(self) -> None:
        if not self.shape:
            return
        if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*(:[\w-]+)*", self.shape):
            raise ValueError(f"shape is {self.shape!r}; write extents, for example '4x6x16' or '4x6x16:torus'")
        if math.prod(self.extents) != self.nodes:
            raise ValueError(f"shape {self.shape} has {math.prod(self.extents):,} nodes, but nodes is {self.nodes:,}")

    def _require_lines(self) -> None:
        """Refuse what would not stay one line of a script."""
        for name in self.environment:
            if not re.fullmatch(r"[A-Za-z_]\w*", name):
                raise ValueError(f"environment: {name!r} is no name of a variable")
        words = {"group": self.group, "queue": self.queue}
        for name, word in words.items():
            if re.search(r"[\s\"']", word):
                raise ValueError(f"{name} is {word!r}; it cannot hold spaces or quotes")
        for line in (self.stage, *self.setup, *self.environment.values(), *self.options):
            if "\n" in line:
                raise ValueError(f"{line!r} is more than one line; give each its own")
