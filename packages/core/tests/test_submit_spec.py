"""What may be asked of a scheduler."""

from typing import Any

import pytest
from fujimi_core.errors import JobError
from fujimi_core.job import from_table, load, to_toml
from fujimi_core.submit_spec import SubmitSpec

LEAST: dict[str, Any] = {"nodes": 4, "time_limit_s": "24 h"}


def test_times_are_read_with_their_units(job_table: dict[str, Any]) -> None:
    spec = from_table(job_table | {"submit": LEAST | {"warning_s": "10 min"}}).submit
    assert spec is not None
    assert (spec.nodes, spec.time_limit_s, spec.warning_s) == (4, 86_400, 600)


def test_job_that_is_printed_back_keeps_what_it_asks_for(job_table: dict[str, Any], tmp_path: Any) -> None:
    environment = {"TMPDIR": "$PJM_LOCALTMP", "EMPTY": "", "QUOTED": 'a "b" \\ c'}
    asked = LEAST | {"shape": "2x2:torus", "environment": environment, "options": ["-L freq=2000"]}
    job = from_table(job_table | {"submit": asked})
    (tmp_path / "job.toml").write_text(to_toml(job), encoding="utf-8")
    assert load(tmp_path / "job.toml") == job
    assert "submit" not in to_toml(from_table(job_table))


@pytest.mark.parametrize(
    ("shape", "extents", "allocation"),
    [("", (), ""), ("4", (4,), ""), ("2x2", (2, 2), ""), ("1x4x1:torus:strict-io", (1, 4, 1), "torus:strict-io")],
)
def test_shape_is_extents_and_the_way_to_choose_nodes(shape: str, extents: tuple[int, ...], allocation: str) -> None:
    spec = SubmitSpec(nodes=4, time_limit_s=3_600, shape=shape)
    assert (spec.extents, spec.allocation) == (extents, allocation)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"nodes": 0}, "submit: nodes is 0; at least 1 is needed"),
        ({"time_limit_s": "24"}, "submit.time_limit_s: '24': unknown unit ''; expected s"),
        ({"time_limit_s": "24:00:00"}, "submit.time_limit_s: '24:00:00' is no quantity; write a number and a unit"),
        ({"time_limit_s": "1 min"}, "submit: warning_s is 300, but the time limit is 60 s; take less"),
        ({"ranks_per_node": 0}, "submit: ranks_per_node is 0; at least 1 is needed"),
        ({"threads_per_rank": 0}, "submit: threads_per_rank is 0; at least 1 is needed"),
        ({"gpus_per_node": -1}, "submit: gpus_per_node is -1; at least 0 is needed"),
        ({"restarts": -1}, "submit: restarts is -1; at least 0 is needed"),
        ({"shape": "2x3"}, "submit: shape 2x3 has 6 nodes, but nodes is 4"),
        ({"shape": "2*2"}, "submit: shape is '2*2'; write extents, for example '4x6x16' or '4x6x16:torus'"),
        ({"shape": ":torus"}, "submit: shape is ':torus'"),
        ({"environment": {"A B": "c"}}, "submit: environment: 'A B' is no name of a variable"),
        ({"environment": {"A": "b\nc"}}, "is more than one line"),
        ({"setup": ["a\nb"]}, "is more than one line; give each its own"),
        ({"group": "my lab"}, "submit: group is 'my lab'; it cannot hold spaces or quotes"),
        ({"queue": 'a"b'}, "submit: queue is 'a\"b'; it cannot hold spaces or quotes"),
        ({"nodse": 4}, "Unknown key: 'submit.nodse'."),
    ],
)
def test_request_that_cannot_be_met_is_refused_with_its_key(
    job_table: dict[str, Any], wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(JobError) as refused:
        from_table(job_table | {"submit": LEAST | wrong}, where="job.toml")
    assert str(refused.value).startswith("job.toml: ")
    assert message in str(refused.value)


@pytest.mark.parametrize("name", ["nodes", "time_limit_s"])
def test_nodes_and_time_limit_must_be_given(job_table: dict[str, Any], name: str) -> None:
    asked = {key: value for key, value in LEAST.items() if key != name}
    with pytest.raises(JobError, match=f"submit.{name} is missing"):
        from_table(job_table | {"submit": asked})
