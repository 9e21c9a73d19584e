"""Node-hours are nodes times time; energy is watts times time, state by state."""

import pytest
from fujimi_core.facilities import Power, PowerState
from fujimi_sim.run.energy import Energy, energy_of, node_hours
from fujimi_sim.run.outcome import PARTS, Outcome
from fujimi_sim.run.spec import RunSpec

BOOST = PowerState(name="boost", arithmetic=1.0, busy_w=100.0)
POWER = Power(states=(BOOST,), idle_w=30.0)
#: Powers of two, so that no sum of some is that of others.
OUTCOME = Outcome(**{name: 2.0**place for place, name in enumerate(PARTS)})  # type: ignore[arg-type]
SPEC = RunSpec(steps=1, samples_per_step=1, checkpoint_every=0, nodes=10, spares=2)


def test_time_is_all_its_parts() -> None:
    assert OUTCOME.total_s == 2.0 ** len(PARTS) - 1


def test_nodes_are_held_but_while_the_job_waits() -> None:
    assert node_hours(OUTCOME, SPEC) == pytest.approx(12 * (OUTCOME.total_s - OUTCOME.waiting_s) / 3600)


def test_nodes_are_busy_while_they_train_for_nothing_or_not_and_spares_never() -> None:
    trained_s = OUTCOME.steps_s + OUTCOME.stragglers_s + OUTCOME.reading_s + OUTCOME.checkpoints_s + OUTCOME.lost_s
    others_s = OUTCOME.staging_s + OUTCOME.launch_s + OUTCOME.start_s + OUTCOME.restore_s + OUTCOME.detection_s
    energy = energy_of(OUTCOME, SPEC, POWER, BOOST)
    assert energy == Energy(
        busy_j=10 * trained_s * 100.0, idle_j=10 * others_s * 30.0 + 2 * (trained_s + others_s) * 30.0
    )
    assert energy.total_j == energy.busy_j + energy.idle_j


def test_energy_is_that_of_node_hours_where_all_states_take_the_same() -> None:
    even = PowerState(name="even", arithmetic=1.0, busy_w=30.0)
    assert energy_of(OUTCOME, SPEC, POWER, even).total_j == pytest.approx(node_hours(OUTCOME, SPEC) * 3600 * 30.0)
