import pytest
from fujimi_core.job import ParallelSpec
from fujimi_sim.planner.report import Counts, Objective, Planned, PlanReport
from fujimi_sim.planner.text import in_words
from fujimi_sim.simulation import Cost, Point

from .conftest import machine


def point(step_s: float, *, memory_bytes: int = 2 * 10**9) -> Point:
    return Point(
        nodes=8,
        ranks=8,
        step_s=step_s,
        compute_s=0.5 * step_s,
        communication_s=0.4 * step_s,
        exposed_communication_s=0.3 * step_s,
        idle_s=0.2 * step_s,
        samples_per_s=16 / step_s,
        flops_per_s=1.0,
        fraction_of_peak=0.1,
        parallel_efficiency=1.0,
        memory_bytes_per_rank=memory_bytes,
        memory_fits=memory_bytes <= 4 * 10**9,
        breakdown=(),
    )


def planned(
    rank: int, step_s: float, *, is_own: bool = False, memory_bytes: int = 2 * 10**9, power_state: str = ""
) -> Planned:
    return Planned(
        rank=rank,
        nodes=8,
        parallel=ParallelSpec(tensor=2, pipeline=2, microbatch=1, recompute=(0, 1)),
        is_own=is_own,
        estimated_s=step_s,
        point=point(step_s, memory_bytes=memory_bytes),
        cost=step_s / 16,
        power_state=power_state,
        why="" if rank == 1 else "+1 s: compute +1 s",
    )


def report(
    own: Planned | None, *best: Planned, objective: Objective = Objective.TIME, own_axes: Planned | None = None
) -> PlanReport:
    return PlanReport(
        machine="toy",
        job="necklace",
        nodes=8,
        objective=objective,
        counts=Counts(looked_at=1_000, refused=20, too_large=300, layouts=40, estimated=200, simulated=3),
        best=best,
        own=own,
        own_refused="" if own else "8 ranks are no multiple of 3",
        own_axes=own_axes,
        simulation=Cost(cpu_s=1.0, peak_rss_bytes=10**8),
    )


def test_words_tell_how_many_plans_there_were() -> None:
    words = in_words(report(None, planned(1, 2.0)), machine())
    assert "1,000 plans: 20 refused, 300 do not fit; of 40 layouts that do, 200 plans estimated" in words
    assert "3 simulated" in words


def test_plan_of_the_job_stands_below_the_best_with_its_rank_and_why_it_loses() -> None:
    words = in_words(report(planned(7, 3.0, is_own=True), planned(1, 2.0)), machine())
    rows = [line.split() for line in words.splitlines()]
    (best,) = [row for row in rows if row[:1] == ["1"]]
    (own,) = [row for row in rows if row[:2] == ["7", "*"]]
    assert best[2:5] == ["2", "2", "2"]  # dp, tp, pp
    assert own[3:6] == ["2", "2", "2"]
    assert "* loses +1 s: compute +1 s" in words
    assert "* is the job's own plan, as it stands in the file: rank 7 of 40 layouts that fit" in words
    assert "NOT fit" not in words


def test_plan_of_the_job_that_does_not_fit_is_said_to() -> None:
    words = in_words(report(planned(7, 3.0, is_own=True, memory_bytes=5 * 10**9), planned(1, 2.0)), machine())
    assert "it does NOT fit into the 4 GB of abacus" in words


def test_plan_of_the_job_that_is_none_says_why() -> None:
    words = in_words(report(None, planned(1, 2.0)), machine())
    assert "the job's own plan is none on 8 nodes: 8 ranks are no multiple of 3" in words


@pytest.mark.parametrize(
    ("objective", "unit"), [(Objective.ENERGY, "J/sample"), (Objective.NODE_HOURS, "node-h/sample")]
)
def test_what_is_to_be_small_has_a_column(objective: Objective, unit: str) -> None:
    words = in_words(report(None, planned(1, 2.0), objective=objective), machine())
    assert unit in words
    assert "0.125" in words


def test_power_state_of_least_energy_has_a_column() -> None:
    words = in_words(report(None, planned(1, 2.0, power_state="eco"), objective=Objective.ENERGY), machine())
    assert " state" in words
    assert " eco" in words


def test_time_needs_no_column_of_its_own() -> None:
    assert "/sample" not in in_words(report(None, planned(1, 2.0)), machine())


def test_best_plan_with_the_axes_of_the_job_stands_beside_it() -> None:
    own, alike = planned(7, 3.0, is_own=True), planned(4, 2.5)
    words = in_words(report(own, planned(1, 2.0), own_axes=alike), machine())
    assert [line.split()[0] for line in words.splitlines()[3:6]] == ["1", "4", "7"]
    assert words.count("loses") == 2
    assert "with its axes and the best of all else: rank 4" in words
