"""Published training runs, as plugins offer them."""

from collections.abc import Sequence

import pytest
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job, from_table
from fujimi_core.plugins import Plugins
from fujimi_core.published import PublishedRun, PublishedRuns


def job() -> Job:
    return from_table(
        {
            "name": "published",
            "model": {"name": "gpt", "width": 8, "depth": 1, "heads": 1},
            "data": {"family": "tokens", "sequence": 8, "vocabulary": 8},
            "train": {"steps": 1, "global_batch": 1},
        }
    )


class Table:
    @hookimpl
    def fujimi_published_runs(self) -> Sequence[PublishedRuns]:
        run = PublishedRun(name="row 1", job=job(), machine="toy", nodes=2, step_s=1.5)
        return [PublishedRuns(name="table", source="Somebody, 2026", goal=0.1, runs=lambda: [run])]


def test_tables_of_plugins_are_found_by_name() -> None:
    plugins = Plugins()
    plugins.register(Table(), "table")
    (run,) = plugins.published_runs()["table"].runs()
    assert (run.name, run.nodes, run.devices, run.fitted) == ("row 1", 2, None, False)


@pytest.mark.parametrize("wrong", [{"nodes": 0}, {"step_s": 0.0}, {"devices": 0}])
def test_run_without_nodes_or_time_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
        PublishedRun(**({"name": "row", "job": job(), "machine": "toy", "nodes": 1, "step_s": 1.0} | wrong))  # type: ignore[arg-type]
