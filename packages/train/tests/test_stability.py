import io
import math
import random
from dataclasses import replace

import pytest
import torch
from fujimi_core.errors import RunError
from fujimi_core.records import build, to_table
from fujimi_core.stability_spec import Remedy, StabilitySpec
from fujimi_train.stability import Action, StabilityState, batch_of, decide

SPEC = StabilitySpec(spike_factor=3.0, spike_window=5, tries=2)


def step_of(spec, state, loss, *, step=9, gradients_finite=True, checkpoint_step=None):
    return decide(spec, state, step=step, loss=loss, gradients_finite=gradients_finite, checkpoint_step=checkpoint_step)


def after(losses, spec=SPEC):
    state = StabilityState()
    for loss in losses:
        decision = step_of(spec, state, loss)
        assert (decision.action, decision.reason) == (Action.CONTINUE, "")
        state = decision.state
    return state


def on_nan(remedy, **more):
    return StabilitySpec(on_nan=remedy, **more)


@pytest.mark.parametrize(
    ("loss", "gradients_finite", "reason"),
    [
        (math.nan, True, "the loss is nan at step 10"),
        (math.inf, False, "the loss is inf at step 10"),
        (1.0, False, "the gradients are not all finite numbers at step 10"),
    ],
)
def test_run_stops_at_what_is_no_number_and_says_where(loss, gradients_finite, reason):
    decision = step_of(StabilitySpec(), StabilityState(), loss, gradients_finite=gradients_finite)
    assert (decision.action, decision.reason) == (Action.STOP, reason)


# median of 1, 2, 9, 4, 3 is 3; three times that is 9
@pytest.mark.parametrize(("loss", "action"), [(9.0, Action.CONTINUE), (9.01, Action.SKIP)])
def test_spike_is_a_loss_above_so_many_times_the_median_of_the_last(loss, action):
    assert step_of(SPEC, after([1.0, 2.0, 9.0, 4.0, 3.0], replace(SPEC, spike_factor=10.0)), loss).action is action


def test_losses_before_the_window_do_not_count():
    state = after([100.0, 100.0, 100.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    assert state.losses == (1.0,) * 5
    assert step_of(SPEC, state, 3.1).action is Action.SKIP


def test_there_is_no_spike_before_half_a_window_is_there():
    assert step_of(SPEC, after([1.0]), 1e6).action is Action.CONTINUE
    assert step_of(SPEC, after([1.0, 1.0]), 1e6).action is Action.SKIP


def test_no_spike_is_looked_for_unless_the_job_says_so():
    spec = StabilitySpec()
    assert step_of(spec, after([1.0] * 200, spec), 1e6).action is Action.CONTINUE


def test_bad_steps_do_not_count_as_usual_ones():
    state = after([1.0] * 5)
    assert step_of(SPEC, state, 50.0).state.losses == state.losses


def test_too_many_skips_in_a_row_stop_the_run_and_a_good_step_forgives_them():
    state, actions = after([1.0] * 5), []
    for loss in (9.0, 9.0, 1.0, 9.0, 9.0, 9.0):
        decision = step_of(SPEC, state, loss)
        state = decision.state
        actions.append(decision.action)
    skip = Action.SKIP
    assert actions == [skip, skip, Action.CONTINUE, skip, skip, Action.STOP]
    assert decision.reason == (
        "the loss is 9, above 3 times the usual 1, at step 10, "
        "and so was each of the 2 steps before, which were left out"
    )


def test_rollback_goes_to_the_last_checkpoint_and_past_what_led_to_the_bad_step():
    decision = step_of(on_nan(Remedy.ROLLBACK), StabilityState(), math.nan, step=107, checkpoint_step=100)
    assert decision.action is Action.ROLLBACK
    assert decision.reason == (
        "the loss is nan at step 108; back to step 100, and past batches 100 to 107 (1 of 5 times from there)"
    )
    assert [batch_of(step, decision.state.passed_over) for step in (99, 100, 101)] == [99, 108, 109]


def test_there_is_no_rollback_without_a_checkpoint():
    decision = step_of(on_nan(Remedy.ROLLBACK), StabilityState(), math.nan)
    assert decision.action is Action.STOP
    assert decision.reason.endswith("; set train.checkpoint_every")


def test_rollbacks_to_the_same_checkpoint_are_limited_and_those_to_later_ones_begin_anew():
    spec, state, actions = on_nan(Remedy.ROLLBACK, tries=2), StabilityState(), []
    for checkpoint_step, step in ((10, 12), (10, 15), (20, 21), (20, 23), (20, 22)):
        decision = step_of(spec, state, math.nan, step=step, checkpoint_step=checkpoint_step)
        state = decision.state
        actions.append(decision.action)
    assert actions == [Action.ROLLBACK] * 4 + [Action.STOP]
    assert decision.reason == (
        "the loss is nan at step 23, after 2 returns to the checkpoint of step 20, to other samples each"
    )


def test_batches_of_any_history_of_rollbacks_are_those_left_in_order():
    numbers = random.Random(5)
    state, checkpoint_step, left = StabilityState(), 0, list(range(1000))
    for _ in range(30):
        checkpoint_step += numbers.randrange(4)
        bad = checkpoint_step + numbers.randrange(6)
        state = step_of(
            on_nan(Remedy.ROLLBACK, tries=99), state, math.nan, step=bad, checkpoint_step=checkpoint_step
        ).state
        del left[checkpoint_step : bad + 1]
        assert [batch_of(step, state.passed_over) for step in range(200)] == left[:200]
    assert all(
        last + 1 < first for (_, last), (first, _) in zip(state.passed_over, state.passed_over[1:], strict=False)
    )


def test_state_survives_a_checkpoint():
    state = StabilityState(losses=(1.5, 0.1), rollbacks=2, rolled_back_to=7, passed_over=((3, 4), (9, 9)))
    file = io.BytesIO()
    torch.save(to_table(state), file)
    file.seek(0)
    assert build(StabilityState, torch.load(file, weights_only=True), where="state", error=RunError) == state
