"""Submissions: checks against machine and plan, and the place of each rank in the grid."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fujimi_core.errors import FujimiError, JobError, MachineError, PluginError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import from_table
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.offers import TopologyOffer
from fujimi_core.placement import Placement, fill_nodes
from fujimi_core.plugins import Plugins
from fujimi_core.submission import Submission, coordinates_in, submission_of

FILE = Path("job.toml")
Submit = Callable[..., Submission]


class Grid:
    """A network of 8 nodes whose jobs get the nodes from 7 down."""

    def __init__(self, machine: Machine, shape: tuple[int, ...] = (8,)) -> None:
        self.machine, self.shape = machine, shape

    def allocate(self, nodes: int, *, shape: tuple[int, ...] | None = None) -> "Grid":
        return Grid(self.machine, shape or (nodes,))

    @property
    def nodes(self) -> Any:
        return np.arange(7, 7 - int(np.prod(self.shape)), -1)


@hookimpl
def fujimi_topologies() -> Sequence[TopologyOffer]:
    build: Any = Grid
    return [TopologyOffer(name="ring", build=build)]


@hookimpl
def fujimi_place_ranks(mesh: Mesh, machine: Machine, topology: Grid, nodes: int) -> Placement:
    """Ranks go to nodes by their numbers, not by their order in the grid."""
    assert mesh.world_size == nodes * machine.node.devices
    return fill_nodes(np.sort(topology.nodes), ranks_per_node=machine.node.devices)


@pytest.fixture
def submit(job_table: dict[str, Any], machine: Machine) -> Submit:
    node = replace(machine.node, peer_bandwidth_bytes_per_s=1e9)

    @hookimpl
    def fujimi_machines() -> Sequence[Machine]:
        return [replace(machine, node=node), replace(machine, name="lonely")]

    def submit(*, network: bool = True, train: dict[str, Any] | None = None, **asked: Any) -> Submission:
        plugins = Plugins(strict=True)
        plugins.register(SimpleNamespace(fujimi_machines=fujimi_machines), "toys")
        if network:
            hooks = SimpleNamespace(fujimi_topologies=fujimi_topologies, fujimi_place_ranks=fujimi_place_ranks)
            plugins.register(hooks, "networks")
        job_table["submit"] = {"nodes": 4, "time_limit_s": 3_600} | asked
        job_table["train"] |= train or {}
        return submission_of(from_table(job_table), FILE, plugins)

    return submit


def test_scripts_go_beside_the_jobs_output(submit: Submit) -> None:
    assert submit(train={"out": "results"}).directory == Path("results/tiny/submit")


def test_ranks_are_those_of_all_nodes(submit: Submit) -> None:
    assert submit().ranks == 4
    assert submit(ranks_per_node=2).ranks == 8
    assert submit(machine="toy").ranks == 4


def test_scheduler_places_ranks_of_a_job_without_shape(submit: Submit) -> None:
    assert submit(machine="toy").coordinates is None


def test_each_rank_gets_the_place_of_its_node_in_the_grid(submit: Submit) -> None:
    # Nodes 7, 6, 5, 4 are the grid in C order; ranks go to 4, 5, 6, 7.
    found = submit(machine="toy", shape="2x2").coordinates
    assert found is not None
    assert found.tolist() == [[1, 1], [1, 0], [0, 1], [0, 0]]


def test_ranks_of_a_node_share_its_place(submit: Submit) -> None:
    found = submit(machine="toy", nodes=2, shape="2", ranks_per_node=2).coordinates
    assert found is not None
    assert found.tolist() == [[1], [1], [0], [0]]


def test_places_in_a_grid_are_found_back() -> None:
    rng = np.random.default_rng(5)
    grid = rng.permutation(1_000)[:24]
    found = coordinates_in(grid, grid[::-1], (2, 3, 4))
    assert grid.reshape(2, 3, 4)[tuple(found.T)].tolist() == grid[::-1].tolist()


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({"machine": "tyo"}, MachineError, "Unknown machine: 'tyo'. Known: lonely, toy. Did you mean 'toy'?"),
        ({"machine": "toy", "nodes": 16}, MachineError, "machine 'toy' has 8 nodes; 16 cannot be used"),
        ({"nodes": 3}, JobError, "train.global_batch 64 does not divide into 3 data-parallel ranks"),
        ({"shape": "2x2"}, JobError, "submit.shape is 2x2; name submit.machine too"),
        ({"machine": "toy", "shape": "4", "network": False}, PluginError, "pip install fujimi-sim, or leave out"),
        ({"machine": "lonely", "shape": "4", "ranks_per_node": 2}, MachineError, "2 ranks on a node of 'lonely': "),
    ],
)
def test_request_that_fits_no_machine_or_plan_is_refused(
    submit: Submit, asked: dict[str, Any], error: type[FujimiError], message: str
) -> None:
    with pytest.raises(error) as refused:
        submit(**asked)
    assert message in str(refused.value)


def test_job_that_asks_for_nothing_is_told_what_to_add(job_table: dict[str, Any]) -> None:
    with pytest.raises(JobError, match=r"job.toml: there is no section \[submit\]; add one: nodes = 4 and"):
        submission_of(from_table(job_table), FILE, Plugins())
