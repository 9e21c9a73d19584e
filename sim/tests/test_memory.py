"""What does not fit, and what to change."""

from dataclasses import replace
from typing import Any

import pytest
from fujimi_core.device import Device
from fujimi_core.job import Job, from_table
from fujimi_core.machine import Machine
from fujimi_core.plan import plan_of
from fujimi_core.workload import Memory
from fujimi_sim.memory import remedies, shares, shortage

GIB = 2**30
#: 41.2 GiB, of which 71 % are activations.
MEMORY = Memory(
    peak_bytes=int(41.2 * GIB),
    parameter_bytes=3 * GIB,
    gradient_bytes=3 * GIB,
    optimizer_bytes=int(5.95 * GIB),
    activation_bytes=int(29.25 * GIB),
)


@pytest.fixture
def device(machine: Machine) -> Device:
    return replace(machine.node.device, memory_bytes=32 * GIB)


def job(batch: int = 8, **parallel: Any) -> Job:
    return from_table(
        {
            "name": "large",
            "model": {"name": "beads"},
            "data": {"family": "rods", "classes": 10, "instances": 10},
            "train": {"steps": 1, "batch_per_rank": batch},
            "parallel": parallel,
        }
    )


def changes(kind: str, ranks: int = 16, *, batch: int = 8, **parallel: Any) -> list[str]:
    described = job(batch, **parallel)
    return remedies(kind, described.parallel, plan_of(described, ranks))


def test_what_does_not_fit_is_told_with_its_kinds_and_changes_of_the_job(device: Device) -> None:
    assert shortage(MEMORY, device, job(), 16) == (
        "41.2 GiB of 32 GiB; activations 71 %, optimizer state 14 %, gradients 7 %, parameters 7 %; "
        'try parallel.microbatch = 4, parallel.recompute = "selective", parallel.recompute = "full" '
        "or parallel.tensor = 2"
    )


@pytest.mark.parametrize(("need", "fits"), [(32 * GIB, True), (32 * GIB + 1, False)])
def test_what_fits_to_the_byte_lacks_nothing(need: int, fits: bool, device: Device) -> None:
    assert (shortage(Memory(peak_bytes=need), device, job(), 1) == "") == fits


def test_of_a_workload_whose_job_is_unknown_the_keys_are_told(device: Device) -> None:
    assert shortage(MEMORY, device, None, 16).endswith(
        "; try parallel.microbatch, parallel.recompute, parallel.tensor or parallel.sequence of its job"
    )


def test_memory_of_no_kind_is_other() -> None:
    found = shares(Memory(peak_bytes=100, gradient_bytes=10, parameter_bytes=30))
    assert list(found.items())[:3] == [("other", 0.6), ("parameters", 0.3), ("gradients", 0.1)]


# activations


def test_microbatch_gets_smaller_to_a_divisor_of_the_samples() -> None:
    assert changes("activations", batch=15)[0] == "parallel.microbatch = 5"
    assert changes("activations", batch=15, accumulate=3)[0] == "parallel.microbatch = 1"
    assert not changes("activations", batch=15, microbatch=1)[0].startswith("parallel.microbatch")


def test_microbatches_of_interleaved_stages_stay_whole_rounds() -> None:
    # of 12 samples over 4 pipeline ranks: 3 make 4 microbatches, 2 would make 6, 1 makes 12
    plan = {"pipeline": 4, "virtual_stages": 2, "schedule": "interleaved", "microbatch": 3}
    assert changes("activations", batch=12, **plan)[0] == "parallel.microbatch = 1"


def test_gpipe_keeps_all_microbatches_and_1f1b_does_not() -> None:
    assert 'parallel.schedule = "1f1b"' in changes("activations", pipeline=2, schedule="gpipe")
    assert 'parallel.schedule = "1f1b"' not in changes("activations", pipeline=2)


def test_what_is_recomputed_already_is_not_told_again() -> None:
    some = changes("activations", microbatch=1, recompute="selective")
    assert some == [
        'parallel.recompute = "full"',
        "parallel.tensor = 2",
        "parallel.sequence = 2",
        'parallel.offload = "activations"',
    ]
    assert changes("activations", microbatch=1, recompute="full", offload="optimizer") == [
        "parallel.tensor = 2",
        "parallel.sequence = 2",
        'parallel.offload = "all"',
    ]


def test_workspace_shrinks_with_the_samples_as_activations_do() -> None:
    assert changes("workspace") == changes("activations")


def test_buffers_of_gradients_shrink_with_their_pieces_and_those_of_parameters_with_the_layers() -> None:
    assert changes("buffers", zero=2, bucket_bytes=1000)[0] == "parallel.bucket_bytes = 500"
    assert changes("buffers", zero=3) == ["parallel.pipeline = 2", "parallel.tensor = 2"]


def test_axes_grow_only_where_ranks_with_different_samples_can_be_halved() -> None:
    used = {"microbatch": 1, "recompute": "full", "offload": "all"}
    assert changes("activations", 12, tensor=4, **used) == ["a machine whose devices have more memory"]
    assert changes("activations", 8, tensor=4, **used) == ["parallel.tensor = 8", "parallel.sequence = 2"]


# what lasts from step to step


@pytest.mark.parametrize(("kind", "zero"), [("optimizer state", 1), ("gradients", 2), ("parameters", 3)])
def test_each_kind_is_shared_from_its_level_of_zero_on(kind: str, zero: int) -> None:
    assert changes(kind, zero=zero - 1)[0] == f"parallel.zero = {zero}"
    shared = changes(kind, zero=zero)
    assert shared[0] == "parallel.pipeline = 2"
    assert shared[-1] == f"more nodes, with parallel.zero = {zero}"


def test_one_rank_has_nobody_to_share_with() -> None:
    assert changes("optimizer state", 1) == ['parallel.offload = "optimizer"', "more nodes, with parallel.zero = 1"]


def test_only_the_optimizer_of_what_lasts_can_be_offloaded() -> None:
    assert 'parallel.offload = "all"' in changes("optimizer state", offload="activations")
    assert not any("offload" in change for change in changes("parameters"))
    assert not any("offload" in change for change in changes("optimizer state", offload="all"))
