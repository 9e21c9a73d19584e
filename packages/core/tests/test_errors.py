"""Wording and exit codes of errors."""

import pytest
from fujimi_core import errors


def test_unknown_name_comes_with_all_known_ones_and_the_nearest() -> None:
    text = errors.unknown("machine", "fugako", ["tsubame", "fugaku", "abci"])
    assert text == "Unknown machine: 'fugako'. Known: abci, fugaku, tsubame. Did you mean 'fugaku'?"


def test_unknown_name_far_from_all_gets_no_suggestion() -> None:
    assert errors.unknown("machine", "zzz", ["abci"]) == "Unknown machine: 'zzz'. Known: abci."


def test_unknown_name_where_nothing_is_known_says_so() -> None:
    assert errors.unknown("machine", "fugaku", []) == "Unknown machine: 'fugaku'. Known: none."


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.JobError, 2),
        (errors.MachineError, 2),
        (errors.PluginError, 2),
        (errors.WorkloadError, 2),
        (errors.RunError, 1),
    ],
)
def test_request_that_is_wrong_exits_with_2_and_run_that_fails_with_1(
    kind: type[errors.FujimiError], code: int
) -> None:
    assert issubclass(kind, errors.FujimiError)
    assert kind.exit_code == code
