"""What a rank holds that does not fit into its device, and what to change."""

from collections.abc import Iterator

from fujimi_core.device import Device
from fujimi_core.job import Job, Offload, ParallelSpec, Recompute, Schedule
from fujimi_core.plan import Plan, plan_of
from fujimi_core.units import format_memory
from fujimi_core.workload import Memory

#: Kinds smaller than this share are not named.
_LEAST = 0.005
#: So many changes are told; who reads them tries the first.
_MOST_REMEDIES = 4
#: Kinds of which there is more with more samples at a time.
_OF_SAMPLES = ("activations", "workspace")
#: From which ``zero`` on ranks with different samples share a kind.
_ZERO = {"optimizer state": 1, "gradients": 2, "parameters": 3}


def shortage(memory: Memory, device: Device, job: Job | None, ranks: int) -> str:
    """Say in words that a rank does not fit, what it holds and what to try; empty if it fits.

    Args:
        memory: Of the rank that needs most.
        device: Into whose memory it should fit.
        job: What was captured; None if nobody knows, and then no change is ruled out because it is made already.
        ranks: How many there are.
    """
    if memory.peak_bytes <= device.memory_bytes:
        return ""
    kinds = shares(memory)
    held = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in kinds.items() if share >= _LEAST)
    changes = remedies(next(iter(kinds)), job.parallel, plan_of(job, ranks)) if job else _unknown(next(iter(kinds)))
    need = f"{format_memory(memory.peak_bytes)} of {format_memory(device.memory_bytes)}"
    return f"{need}; {held}; try {_listed(changes)}"


def shares(memory: Memory) -> dict[str, float]:
    """Share of each kind in the high-water mark, the largest first; ``other`` is what belongs to no kind.

    >>> held = shares(Memory(peak_bytes=8, parameter_bytes=2, activation_bytes=5))
    >>> {kind: share for kind, share in held.items() if share}
    {'activations': 0.625, 'parameters': 0.25, 'other': 0.125}
    """
    kinds = {
        "activations": memory.activation_bytes,
        "optimizer state": memory.optimizer_bytes,
        "gradients": memory.gradient_bytes,
        "parameters": memory.parameter_bytes,
        "workspace": memory.workspace_bytes,
        "buffers": memory.buffer_bytes,
    }
    kinds["other"] = max(0, memory.peak_bytes - sum(kinds.values()))
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    return {kind: nbytes / memory.peak_bytes for kind, nbytes in ordered}


def remedies(kind: str, parallel: ParallelSpec, plan: Plan) -> list[str]:
    """Changes of a job that make less of a kind of memory and are not made yet, the cheapest in time first.

    Args:
        kind: One that `shares` names.
        parallel: What the job says of the plan.
        plan: Which that is on the ranks in question.
    """
    found = _of_activations(parallel, plan) if kind in _OF_SAMPLES else _of_state(kind, parallel, plan)
    return list(found)[:_MOST_REMEDIES] or ["a machine whose devices have more memory"]


def _of_activations(parallel: ParallelSpec, plan: Plan) -> Iterator[str]:
    if smaller := _smaller_microbatch(plan):
        yield f"parallel.microbatch = {smaller}"
    if plan.extent("pp") > 1 and parallel.schedule is Schedule.GPIPE:
        yield 'parallel.schedule = "1f1b"'
    if parallel.recompute is Recompute.NONE:
        yield 'parallel.recompute = "selective"'
    if parallel.recompute not in (Recompute.FULL, Recompute.WHOLE):
        yield 'parallel.recompute = "full"'
    yield from _wider("tensor", plan)
    yield from _wider("sequence", plan)
    yield from _outside(parallel, Offload.ACTIVATIONS)


def _of_state(kind: str, parallel: ParallelSpec, plan: Plan) -> Iterator[str]:
    sharing, needed = plan.extent("dp") * plan.extent("sp"), _ZERO.get(kind)
    if needed is not None and parallel.zero < needed and sharing > 1:
        yield f"parallel.zero = {needed}"
    if kind == "buffers" and parallel.zero < _ZERO["parameters"]:
        yield f"parallel.bucket_bytes = {parallel.bucket_bytes // 2}"
    yield from _wider("pipeline", plan)
    yield from _wider("tensor", plan)
    if kind == "optimizer state":
        yield from _outside(parallel, Offload.OPTIMIZER)
    if needed is not None and (parallel.zero >= needed or sharing == 1):
        yield f"more nodes, with parallel.zero = {max(needed, parallel.zero)}"


def _wider(axis: str, plan: Plan) -> Iterator[str]:
    """Twice the ranks along an axis, if those with different samples can be halved for it."""
    extent = plan.extent({"pipeline": "pp", "tensor": "tp", "sequence": "sp"}[axis])
    if plan.extent("dp") % 2 == 0:
        yield f"parallel.{axis} = {2 * extent}"


def _outside(parallel: ParallelSpec, what: Offload) -> Iterator[str]:
    if parallel.offload not in (what, Offload.ALL):
        yield f'parallel.offload = "{(what if parallel.offload is Offload.NONE else Offload.ALL).value}"'


def _smaller_microbatch(plan: Plan) -> int | None:
    """The next smaller one that divides the samples of a pass, in whole rounds of interleaved stages."""
    in_a_pass = plan.batch // plan.accumulate
    rounds = plan.extent("pp") if plan.virtual_stages > 1 else 1
    smaller = range(plan.microbatch - 1, 0, -1)
    return next((size for size in smaller if in_a_pass % size == 0 and in_a_pass // size % rounds == 0), None)


def _unknown(kind: str) -> list[str]:
    """Keys of the job to look at, where it is not known what they are."""
    if kind in _OF_SAMPLES:
        return ["parallel.microbatch", "parallel.recompute", "parallel.tensor", "parallel.sequence of its job"]
    return ["parallel.zero", "parallel.pipeline", "parallel.tensor", "parallel.offload of its job"]


def _listed(changes: list[str]) -> str:
    """Write alternatives.

    >>> _listed(["a", "b", "c"])
    'a, b or c'
    """
    *first, last = changes
    return f"{', '.join(first)} or {last}" if first else last
