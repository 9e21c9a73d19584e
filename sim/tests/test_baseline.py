"""What is stored comes back, and a difference names what did it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fujimi_core.errors import FujimiError
from fujimi_sim import baseline
from fujimi_sim.breakdown import Part
from fujimi_sim.simulation import Point


def operator(name: str, seconds: float, count: float = 1.0) -> Part:
    return Part(name=name, phase="forward", count=count, nbytes=1e6, seconds=seconds)


def reduces(count: float, buffer_bytes: int, seconds: float, algorithm: str = "ring") -> Part:
    return Part(
        name="all_reduce",
        phase="backward",
        axes=("dp",),
        buffer_bytes=buffer_bytes,
        algorithm=algorithm,
        count=count,
        nbytes=count * buffer_bytes,
        seconds=seconds,
    )


POINT = Point(
    nodes=64,
    ranks=64,
    step_s=1.0,
    compute_s=0.8,
    communication_s=0.2,
    exposed_communication_s=0.1,
    idle_s=0.1,
    samples_per_s=1_000.0,
    flops_per_s=1e15,
    fraction_of_peak=0.4,
    parallel_efficiency=0.8,
    memory_bytes_per_rank=10**9,
    memory_fits=True,
    breakdown=(operator("mm", 0.8), reduces(4, 25_000_000, 0.2)),
)


def changed(parts: Sequence[Part] | None = None, **figures: Any) -> Point:
    return replace(POINT, breakdown=POINT.breakdown if parts is None else tuple(parts), **figures)


def difference(now: Point, tolerance: float = 0.01) -> list[str]:
    """Lines, without what aligns them."""
    return [" ".join(line.split()) for line in baseline.difference(POINT, now, tolerance=tolerance).splitlines()]


# the file


def test_points_are_read_back_with_six_digits(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    exact = changed(step_s=1 / 3, parts=[operator("mm", 2 / 3)])
    baseline.save({"job on toy": exact, "another": POINT}, path)
    read = baseline.load(path)
    assert read["another"] == POINT
    assert read["job on toy"] == replace(exact, step_s=0.333333, breakdown=(operator("mm", 0.666667),))


def test_a_part_is_a_line_of_the_file_and_runs_are_sorted(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    baseline.save({"b": POINT, "a": POINT}, path)
    lines = path.read_text().splitlines()
    assert [line[:3] for line in lines if line.startswith('"')] == ['"a"', '"b"']
    assert sum('"all_reduce"' in line for line in lines) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cannot read the baseline {}: Expecting value"),
        ("[]", "baseline {}: "),
        ('{"points": {}}', "baseline {}: fujimi_baseline is missing"),
        ('{"fujimi_baseline": 2, "points": {}}', "baseline {}: fujimi_baseline is 2; this version reads 1"),
        ('{"fujimi_baseline": 1, "points": {"a": {"nodes": 1}}}', "baseline {}: "),
    ],
)
def test_file_that_holds_no_figures_is_named_with_the_way_out(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(FujimiError) as caught:
        baseline.load(path)
    assert str(caught.value).startswith(message.format(path))
    assert str(caught.value).endswith("and store its figures anew")


# what counts as a difference


@pytest.mark.parametrize(
    "figures",
    [
        {},
        {"step_s": 1.0099, "samples_per_s": 991.0},
        {"idle_s": 0.1099},  # a hundredth of the step, a tenth of itself
        {"memory_bytes_per_rank": 1_009_900_000},
    ],
)
def test_figures_within_the_tolerance_are_no_difference(figures: dict[str, Any]) -> None:
    assert difference(changed(**figures)) == []


@pytest.mark.parametrize(
    ("figures", "row"),
    [
        ({"step_s": 1.02}, "step_s 1 s 1.02 s +2.0%"),
        ({"step_s": 0.98}, "step_s 1 s 980 ms -2.0%"),
        ({"idle_s": 0.12}, "idle_s 100 ms 120 ms +2.0% of the step"),
        ({"samples_per_s": 950.0}, "samples_per_s 1,000 950 -5.0%"),
        ({"parallel_efficiency": 0.7}, "parallel_efficiency 80.00% 70.00% -12.5%"),
        ({"memory_bytes_per_rank": 2 * 10**9}, "memory_bytes_per_rank 953.7 MiB 1.863 GiB +100.0%"),
    ],
)
def test_figure_beyond_the_tolerance_is_shown_as_it_was_and_is(figures: dict[str, Any], row: str) -> None:
    assert difference(changed(**figures))[:2] == ["figure stored now change", row]


def test_tolerance_of_nothing_still_allows_for_the_digits_that_are_stored(tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    now = changed(step_s=1 / 3, samples_per_s=64 * 3 / 7, parallel_efficiency=2 / 3)
    baseline.save({"it": now}, path)
    assert baseline.difference(baseline.load(path)["it"], now, tolerance=0) == ""


def test_work_done_otherwise_in_the_same_time_is_no_difference() -> None:
    assert difference(changed([operator("fused_mm", 0.8), reduces(4, 25_000_000, 0.2)])) == []


# what did it


def test_smaller_buckets_are_told_in_sum_and_size_by_size() -> None:
    parts = [operator("mm", 0.8), reduces(100, 900_000, 0.3), reduces(50, 200_000, 0.1, "tree")]
    *_, header, sums, first, second, third = difference(changed(parts, step_s=1.2))
    assert header == "what changed phase count bytes time change"
    assert sums == "all_reduce along dp backward 4 -> 150 100 MB 200 ms -> 400 ms +200 ms"
    assert first == "of 900 kB by ring 0 -> 100 0 B -> 90 MB 0 s -> 300 ms +300 ms"
    assert second == "of 25 MB by ring 4 -> 0 100 MB -> 0 B 200 ms -> 0 s -200 ms"
    assert third == "of 200 kB by tree 0 -> 50 0 B -> 10 MB 0 s -> 100 ms +100 ms"


def test_messages_of_several_sizes_are_told_without_an_algorithm() -> None:
    parts = [replace(reduces(1, nbytes, 0.1, ""), name="send", axes=("pp",)) for nbytes in (1_000, 2_000)]
    *_, sums, first, second = difference(changed([*POINT.breakdown, *parts], step_s=1.2))
    assert sums == "send along pp backward 0 -> 2 0 B -> 3 kB 0 s -> 200 ms +200 ms"
    assert first == "of 1 kB 0 -> 1 0 B -> 1 kB 0 s -> 100 ms +100 ms"
    assert second == "of 2 kB 0 -> 1 0 B -> 2 kB 0 s -> 100 ms +100 ms"


def test_sizes_that_matter_less_are_summed_up() -> None:
    sizes = [reduces(1, 1_000 + size, 0.01) for size in range(9)]
    lines = difference(changed([operator("mm", 0.8), *sizes], step_s=1.2))
    assert lines[-8].startswith("all_reduce along dp backward 4 -> 9 ")
    assert lines[-1] == "4 others 0 -> 4 0 B -> 4.026 kB 0 s -> 40 ms +40 ms"


def test_what_changed_the_time_most_comes_first_and_what_did_not_change_is_left_out() -> None:
    parts = [operator("mm", 0.8), operator("add", 0.01), operator("softmax", 0.3), POINT.breakdown[1]]
    *_, first, second = difference(changed(parts, step_s=1.31))
    assert first == "softmax forward 0 -> 1 0 B -> 1 MB 0 s -> 300 ms +300 ms"
    assert second == "add forward 0 -> 1 0 B -> 1 MB 0 s -> 10 ms +10 ms"


def test_same_work_in_another_order_is_said_to_be_that() -> None:
    assert difference(changed(step_s=1.2, exposed_communication_s=0.3))[-1] == (
        "No operator or collective has another count, size or time: "
        "their order, what waits for what, or what is kept in memory is different."
    )


def test_long_list_is_cut_and_said_to_be() -> None:
    many = [operator(f"op{index}", 0.01) for index in range(30)]
    *_, last = difference(changed([*POINT.breakdown, *many], step_s=1.3))
    assert last == "and 10 lines more"
