"""Where training is at some time, counted by hand."""

import math

import pytest
from fujimi_sim.run.timeline import Pace, Trained, failed, finished, warned

#: Checkpoints after steps 4 and 8 of 10; steps of 1 s, copies of 0.5 s, whole 2 s later.
QUICK = Pace(steps=10, step_s=1.0, every=4, copy_s=0.5, write_s=2.0)
#: The same, but the second has to wait: it takes 6 s to write one.
SLOW = Pace(steps=10, step_s=1.0, every=4, copy_s=0.5, write_s=6.0)


def trained(saved: int, elapsed_s: float, checkpoint_s: float, lost_s: float = 0.0) -> Trained:
    return Trained(saved=saved, elapsed_s=elapsed_s, checkpoint_s=checkpoint_s, lost_s=lost_s)


def test_run_ends_when_its_last_checkpoint_is_whole() -> None:
    # 4 steps, 0.5, 4 steps, 0.5, 2 steps; then 0.5 and 2 for the last checkpoint
    assert finished(QUICK, 0) == trained(10, 13.5, 3.5)


def test_checkpoint_waits_until_the_one_before_is_written() -> None:
    # copy at 4; whole at 10.5, when step 8 has been done for 2 s; copy, whole at 17; two steps end at 13 and wait
    assert finished(SLOW, 0) == trained(10, 17 + 0.5 + 6, 23.5 - 10)


def test_last_checkpoint_is_not_written_twice() -> None:
    assert finished(Pace(steps=8, step_s=1.0, every=4, copy_s=0.5, write_s=2.0), 0) == trained(8, 8 + 0.5 + 2.5, 3.0)


def test_without_an_interval_there_is_one_checkpoint_at_the_end() -> None:
    assert finished(Pace(steps=3, step_s=2.0, every=0, copy_s=1.0, write_s=4.0), 1) == trained(3, 2 * 2.0 + 5.0, 5.0)


def test_run_that_goes_on_saves_at_multiples_of_the_interval() -> None:
    assert failed(QUICK, 3, 1 + 0.5 + 2.0) == trained(4, 3.5, 0.5, 2.0)


@pytest.mark.parametrize(
    ("after_s", "saved", "checkpoint_s"),
    [(0.0, 0, 0.0), (6.4, 0, 0.0), (6.5, 4, 0.5), (10.9, 4, 0.5), (11.0, 8, 1.0), (13.4, 8, 1.0)],
)
def test_failure_loses_what_is_in_no_whole_checkpoint(after_s: float, saved: int, checkpoint_s: float) -> None:
    assert failed(QUICK, 0, after_s) == trained(saved, after_s, checkpoint_s, after_s - saved - checkpoint_s)


def test_waiting_for_a_checkpoint_counts_once_the_next_is_whole() -> None:
    # the second begins at 10.5, 2 s after its step, and is whole at 17
    assert failed(SLOW, 0, 16.9).checkpoint_s == 0.5
    assert failed(SLOW, 0, 17.0) == trained(8, 17.0, 3.0, 6.0)


@pytest.mark.parametrize(
    ("after_s", "done", "elapsed_s"),
    [
        (0.0, 1, 1 + 2.5),  # in the first step
        (2.5, 3, 3 + 2.5),  # in the third
        (3.5, 4, 4 + 2.5),  # in the fourth, whose checkpoint would have come anyhow
        (4.2, 5, 5.5 + 1.0 + 2.5),  # while it is copied: one more step, whose checkpoint waits for that of step 4
        (11.5, 10, 13.5),  # in the last
        (13.4, 10, 13.5),  # in the last checkpoint
    ],
)
def test_warned_run_finishes_its_step_and_saves(after_s: float, done: int, elapsed_s: float) -> None:
    expected = trained(done, elapsed_s, elapsed_s - done)
    assert warned(QUICK, 0, after_s) == expected


def test_warning_while_a_checkpoint_waits_comes_through_after_the_next_step() -> None:
    # steps 5 to 8 end at 8.5, the copy begins at 10.5; step 9 ends at 12, its checkpoint waits until 17
    assert warned(SLOW, 0, 9.0) == trained(9, 17 + 6.5, 23.5 - 9)


def test_any_failure_before_the_end_accounts_for_all_its_time() -> None:
    for pace in (QUICK, SLOW):
        end_s = finished(pace, 0).elapsed_s
        for tenth in range(math.floor(10 * end_s)):
            found = failed(pace, 0, tenth / 10)
            assert found.saved * pace.step_s + found.checkpoint_s + found.lost_s == pytest.approx(tenth / 10)
            assert found.lost_s >= -1e-9
