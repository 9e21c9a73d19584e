import pytest
from fujimi_core.errors import JobError
from fujimi_core.records import build
from fujimi_core.stability_spec import Remedy, StabilitySpec


def test_run_stops_at_a_nan_and_looks_for_no_spikes_if_nothing_is_said():
    assert (StabilitySpec().on_nan, StabilitySpec().spike_factor) == (Remedy.STOP, 0)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"on_nan": "ignore"}, "Unknown on_nan: 'ignore'. Known: rollback, skip, stop"),
        ({"spike_factor": 1.0}, "spike_factor is 1.0; it must be above 1, or 0 for no check"),
        ({"spike_factor": -2.0}, "spike_factor is -2.0; it must be above 1, or 0 for no check"),
        ({"spike_window": 1}, "spike_window is 1; at least 2 is needed"),
        ({"tries": 0}, "tries is 0; at least 1 is needed"),
    ],
)
def test_what_cannot_be_is_refused(table, message):
    with pytest.raises(JobError, match=f"job: {message}".replace("?", "[?]")):
        build(StabilitySpec, table, where="job", error=JobError)
