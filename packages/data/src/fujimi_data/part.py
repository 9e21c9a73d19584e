"""Which part of a dataset this process makes, where several make one."""

from collections.abc import Mapping
from dataclasses import dataclass

from fujimi_core.errors import RunError
from fujimi_core.launch import launch_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One of the parts that a dataset's shards are dealt out to.

    Args:
        number: From 0.
        of: How many parts there are.
    """

    number: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        if self.of < 1 or not 0 <= self.number < self.of:
            raise ValueError(f"part {self.number} of {self.of}; parts count from 0")

    @property
    def name(self) -> str:
        """Tells it from all others, also of other numbers of parts."""
        return f"{self.number}-of-{self.of}"

    def shards(self, total: int) -> range:
        """Positions of this part's shards among all."""
        return range(self.number, total, self.of)


def parse(text: str) -> Part:
    """Part that a user wrote.

    >>> parse("3/8")
    Part(number=3, of=8)

    Raises:
        ValueError: If it is no part.
    """
    number, slash, of = text.partition("/")
    if not slash or not number.isdecimal() or not of.isdecimal():
        raise ValueError(f"part {text!r} is not of the form K/N, such as 0/8: K from 0 to N - 1")
    return Part(number=int(number), of=int(of))


def part_of(environ: Mapping[str, str]) -> Part:
    """Part that an environment says: rank of an MPI or Slurm launch, task of a Slurm array, or both.

    >>> part_of({"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_COUNT": "10"})
    Part(number=6, of=10)

    Raises:
        RunError: If a launcher left an environment that does not hold together.
    """
    launch = launch_of(environ)
    array = _array_part(environ)
    return Part(number=array.number * launch.world_size + launch.rank, of=array.of * launch.world_size)


def _array_part(environ: Mapping[str, str]) -> Part:
    """Task of a Slurm array; sbatch(1), "Output environment variables"."""
    task, first, count, step = (
        environ.get(f"SLURM_ARRAY_TASK_{name}", default)
        for name, default in (("ID", ""), ("MIN", "0"), ("COUNT", "1"), ("STEP", "1"))
    )
    if not task:
        return Part()
    try:
        return Part(number=(int(task) - int(first)) // max(1, int(step)), of=int(count))
    except ValueError as wrong:
        raise RunError(f"SLURM_ARRAY_TASK_ID={task} and its like make no sense: {wrong}; unset them") from None
