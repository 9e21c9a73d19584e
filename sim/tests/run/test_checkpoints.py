"""Checkpoints: what they hold under each plan, what they take, and when to write them."""

import math

import pytest
from fujimi_core.facilities import Storage
from fujimi_core.job import Job, from_table
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Kernel, Memory, Role, Workload
from fujimi_sim.run.checkpoints import CheckpointCost, Saved, cost_of, daly_s, saved_of, young_s

DP, SP, TP, PP = 3, 2, 2, 2
#: Parameters of the network: all stages and tensor-parallel parts together; 12 bytes each with AdamW's moments.
PARAMETERS = 2_400
STORAGE = Storage(
    nodes_per_io_node=2,
    io_node_read_bytes_per_s=200.0,
    io_node_write_bytes_per_s=100.0,
    read_bytes_per_s=1_000.0,
    write_bytes_per_s=350.0,
    open_rate_hz=10.0,
    create_rate_hz=20.0,
)


def job_of(zero: int, offload: str = "none") -> Job:
    return from_table(
        {
            "name": "tiny",
            "model": {"name": "beads"},
            "data": {"family": "rods", "classes": 10, "instances": 10},
            "train": {"steps": 1, "global_batch": 64},
            "parallel": {"zero": zero, "offload": offload},
        }
    )


def workload_of(zero: int, offload: str = "none") -> Workload:
    """Every rank has 1/4 of the network; data- and sequence-parallel ranks share what ZeRO shares."""
    held = 4 * PARAMETERS // (PP * TP)
    replicas = DP * SP
    parameters = held // replicas if zero == 3 else held
    moments = 0 if offload != "none" else 2 * held // replicas if zero else 2 * held
    kernel = Kernel(op="aten.mm", dtype="float32", flops=1, nbytes=1)
    roles = tuple(
        Role(
            name=f"{pp} {sp}",
            where={"pp": (pp, pp + 1), "sp": (sp, sp + 1)},
            events=(kernel,),
            memory=Memory(parameter_bytes=parameters, optimizer_bytes=moments),
        )
        for pp in range(PP)
        for sp in range(SP)
    )
    return Workload(job="tiny", mesh=Mesh.of(pp=PP, dp=DP, sp=SP, tp=TP), samples_per_step=1, roles=roles)


@pytest.mark.parametrize("offload", ["none", "optimizer"])
@pytest.mark.parametrize("zero", [0, 1, 2, 3])
def test_checkpoint_is_parameters_and_moments_once_whoever_shares_them(zero: int, offload: str) -> None:
    saved = saved_of(workload_of(zero, offload), job_of(zero, offload))
    assert saved.nbytes == 12 * PARAMETERS
    writers = PP * TP * (DP * SP if zero else 1)
    assert saved.writers == writers
    assert saved.writer_bytes == pytest.approx(12 * PARAMETERS / writers)


def test_checkpoint_is_read_by_all_who_need_it() -> None:
    assert saved_of(workload_of(0), job_of(0)).reader_bytes == 12 * PARAMETERS // 4
    assert saved_of(workload_of(3), job_of(3)).reader_bytes == 12 * PARAMETERS // 24


SAVED = Saved(nbytes=7_000, writers=14, writer_bytes=500, reader_bytes=300)


def test_copy_goes_over_the_memory_twice_and_writing_over_files_and_the_narrowest_way(machine) -> None:  # type: ignore[no-untyped-def]
    cost = cost_of(SAVED, STORAGE, machine.node.device, nodes=20, devices=2)
    # 7 nodes write through 4 I/O nodes, 400 B/s, of which the file system takes 350; 14 files at 20 a second
    # 20 nodes read 600 B each: 10 I/O nodes fetch it at 1000 B/s, each hands out 1200 B at 200 B/s; 40 files at 10
    assert cost == CheckpointCost(copy_s=1_000 / 1e9, write_s=20.0 + 0.7, restore_s=6.0 + 4.0)


def test_without_a_storage_only_the_copy_is_known(machine) -> None:  # type: ignore[no-untyped-def]
    cost = cost_of(SAVED, None, machine.node.device, nodes=20, devices=2)
    assert cost == CheckpointCost(copy_s=1_000 / 1e9, write_s=0.0, restore_s=0.0)


def lost_share(interval_s: float, cost_s: float, mtbf_s: float) -> float:
    """Expected time over useful time, by Daly's equation 20; restarts change it by a factor only."""
    return mtbf_s * math.expm1((interval_s + cost_s) / mtbf_s) / interval_s


@pytest.mark.parametrize(("cost_s", "mtbf_s"), [(300.0, 86_400.0), (300.0, 3_600.0), (60.0, 600.0)])
def test_daly_s_interval_is_the_best_of_his_expected_time_and_young_s_is_near(cost_s: float, mtbf_s: float) -> None:
    daly, young = daly_s(cost_s, mtbf_s), young_s(cost_s, mtbf_s)
    best = min(lost_share(daly * (0.5 + step / 1_000), cost_s, mtbf_s) for step in range(1_500))
    assert lost_share(daly, cost_s, mtbf_s) == pytest.approx(best, rel=2e-5)
    assert best <= lost_share(young, cost_s, mtbf_s) <= 1.01 * best


def test_checkpoint_that_takes_longer_than_nodes_last_is_written_once_in_their_time() -> None:
    assert daly_s(200.0, 100.0) == 100.0
    assert daly_s(1.0, math.inf) == math.inf
