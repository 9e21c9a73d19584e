"""Searches the plans of a job: bounds for all, estimates for the promising, simulations of the best."""

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fujimi_core.errors import JobError, MachineError
from fujimi_core.facilities import PowerState
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.plan import plan_of
from fujimi_core.plugins import Plugins
from fujimi_core.units import count_of, format_quantity
from fujimi_core.workload import Workload

from fujimi_sim.planner.bounds import Bounds, bounds_of
from fujimi_sim.planner.estimate import Setting, step_s
from fujimi_sim.planner.parts import Book
from fujimi_sim.planner.pieces import Captures
from fujimi_sim.planner.report import Counts, Objective, Planned, PlanReport
from fujimi_sim.planner.shares import Table
from fujimi_sim.planner.space import Candidate, Layout, Rhythm, Size, Thrift, job_of, placements
from fujimi_sim.planner.traffic import Cheapest, Network
from fujimi_sim.planner.why import why
from fujimi_sim.progress_bar import Begin
from fujimi_sim.run.step_on import even_steps
from fujimi_sim.simulation import Point, cost_so_far, draw_slowness, precision_on, remembered, simulate

#: So many layouts are simulated for each that is asked for, at most.
_TRIES = 2
_HOUR_S = 3600.0


def search(
    job: Job,
    machine: Machine,
    nodes: int,
    *,
    plugins: Plugins,
    objective: Objective = Objective.TIME,
    top: int = 5,
    begin: Begin = lambda *_: None,
) -> PlanReport:
    """Find the best plans of a job on a machine.

    Args:
        job: What is trained; its own plan is one of many.
        machine: On which.
        nodes: On how many of its nodes at most.
        plugins: Who captures, offers networks, places ranks and knows kernels.
        objective: What is to be small, for each sample.
        top: How many plans are wanted.
        begin: Told of each piece of work, and of how many there are.

    Raises:
        JobError: If no plan fits into memory, or none goes together with the job.
        MachineError: If the machine has not so many nodes, or does not tell its power where energy is to be small.
    """
    parts = _TRIES * top + 5

    def begun(what: str) -> None:
        begin(what, parts)

    return _Search(job, machine, nodes, plugins=plugins, objective=objective, begin=begun).run(top)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """A plan with its estimate.

    Args:
        cost: What is to be small.
        candidate: The plan.
        placement: Order of its axes.
        estimated_s: Of a step.
    """

    cost: float
    candidate: Candidate
    placement: tuple[str, ...]
    estimated_s: float

    @property
    def plan(self) -> tuple[Candidate, tuple[str, ...]]:
        """The plan with the order of its axes, but for those of one rank."""
        extents = self.candidate.layout.extents
        return self.candidate, tuple(axis for axis in self.placement if extents[axis] > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulated:
    """A plan with its simulation, and the power state of least energy if that is to be small."""

    found: _Found
    cost: float
    point: Point
    power_state: str


class _Search:
    def __init__(
        self,
        job: Job,
        machine: Machine,
        nodes: int,
        *,
        plugins: Plugins,
        objective: Objective,
        begin: Callable[[str], None],
    ) -> None:
        machine.require_nodes(nodes)
        device, devices = machine.node.device, machine.node.devices
        self._states = _states(machine) if objective is Objective.ENERGY else ()
        self._job = job.with_precision(precision_on(job, device))
        self._machine, self._nodes, self._plugins, self._begin = machine, nodes, plugins, begin
        self._objective = objective
        self._captures = Captures(self._job, plugins=plugins, kernel_seconds=remembered(plugins, device))
        begin("capturing the network")
        slowness = draw_slowness(nodes * devices, std=machine.noise.compute_std, seed=0)
        depth = self._captures.depth(1)
        self._setting = Setting(
            table=Table(Book(self._captures, device), depth=depth),
            depth=depth,
            spec=self._job.parallel,
            device=device,
            slowest=float(slowness.max()),
        )
        self._size = Size(
            ranks=nodes * devices,
            devices=devices,
            depth=self._setting.depth,
            sequence=job.parallel.sequence,
            fewer=objective is not Objective.TIME,
            offloads=device.outside_bandwidth_bytes_per_s is not None,
        )
        self._networks: dict[Layout, tuple[dict[tuple[str, ...], Network], Cheapest | None]] = {}
        self._refused = self._estimated = self._done = 0

    def run(self, top: int) -> PlanReport:
        self._begin("looking at all plans")
        bounds = bounds_of(self._job, self._size, self._setting, self._captures, cost=self._cost)
        if not bounds.fitting:
            raise JobError(self._none(bounds))
        own, own_refused = self._own()
        self._begin("estimating communication")
        order = sorted(self._estimates(bounds, own, enough=_TRIES * top), key=lambda each: each.cost)
        simulated = self._simulations(order, own, top)
        fitting = sorted((each for each in simulated if each.point.memory_fits), key=lambda each: each.cost)
        if not fitting:
            raise JobError(f"job {self._job.name!r}: {count_of(len(order), 'plan')} seemed to fit, but none does")
        planned = {id(each): _planned(self._job, each, fitting, order, own) for each in simulated}
        mine = next((each for each in simulated if each.found is own), None)
        alike = next((each for each in fitting if own and own.candidate.layout == each.found.candidate.layout), None)
        return PlanReport(
            machine=self._machine.name,
            job=self._job.name,
            nodes=self._nodes,
            objective=self._objective,
            counts=Counts(
                looked_at=bounds.looked_at,
                refused=bounds.refused + self._refused,
                too_large=bounds.too_large + sum(not each.point.memory_fits for each in simulated),
                layouts=len(bounds.layouts),
                estimated=self._estimated,
                simulated=len(simulated),
            ),
            best=tuple(planned[id(each)] for each in fitting if each.found in (*order[: _TRIES * top], own))[:top],
            own=planned[id(mine)] if mine else None,
            own_refused=own_refused,
            own_axes=planned[id(alike)] if alike else None,
            simulation=cost_so_far(),
        )

    def _own(self) -> tuple[_Found | None, str]:
        """The job's own plan on all nodes; or why it is none."""
        spec = self._job.parallel
        try:
            plan = plan_of(self._job, self._size.ranks)
            if plan.stages > self._size.depth:
                raise JobError(f"{self._size.depth} blocks do not fill {plan.stages} stages")
            candidate = Candidate(
                Layout(spec.tensor, spec.pipeline, spec.sequence, plan.extent("dp")),
                Rhythm(spec.schedule, spec.virtual_stages, plan.microbatch),
                Thrift(spec.zero, spec.recompute, spec.offload),
            )
            network = self._network(candidate.layout, spec.placement)
            return self._found(candidate, spec.placement, network, plan.batch), ""
        except (JobError, MachineError) as wrong:
            return None, str(wrong)

    def _estimates(self, bounds: Bounds, own: _Found | None, *, enough: int) -> list[_Found]:
        """Layouts with their best plan: as many as are enough, and all that seem better than the job's own."""
        found: dict[tuple[Layout, Rhythm], _Found] = {}
        limit = float("inf")
        for bound, candidate, batch in bounds.fitting:
            if bound > limit:
                break
            key = candidate[:2]
            most = found[key].cost if key in found else float("inf")
            if bound >= most:
                continue
            best = self._best_placed(candidate, batch, most)
            if best is None:
                continue
            found[key] = best
            if len(found) >= enough:
                worst = heapq.nsmallest(enough, (each.cost for each in found.values()))[-1]
                limit = max(worst, own.cost if own else 0.0)
        return list(found.values())

    def _best_placed(self, candidate: Candidate, batch: int, most: float) -> _Found | None:
        """A plan with the order of axes that is best for it; None if it costs as much as it may at most, or more."""
        layout = candidate.layout
        if layout not in self._networks:
            self._networks[layout] = self._placed(layout)
        networks, cheapest = self._networks[layout]
        if cheapest is None:
            self._refused += len(placements(layout))
            return None
        self._estimated += len(networks)
        if self._cost(layout, step_s(candidate, self._setting, cheapest, batch=batch)) >= most:
            return None
        best = min(
            (self._found(candidate, order, network, batch) for order, network in networks.items()),
            key=lambda each: each.cost,
        )
        return best if best.cost < most else None

    def _placed(self, layout: Layout) -> tuple[dict[tuple[str, ...], Network], Cheapest | None]:
        """A layout in all orders of its axes; in none if the machine cannot give so many nodes."""
        try:
            networks = {order: self._network(layout, order) for order in placements(layout)}
        except MachineError:
            return {}, None
        return networks, Cheapest(list(networks.values()))

    def _network(self, layout: Layout, placement: tuple[str, ...]) -> Network:
        dtype = self._job.parallel.grad_reduce_dtype.value
        return Network(layout, placement, machine=self._machine, dtype=dtype, plugins=self._plugins)

    def _found(self, candidate: Candidate, placement: tuple[str, ...], network: Network, batch: int) -> _Found:
        seconds = step_s(candidate, self._setting, network, batch=batch)
        cost = self._cost(candidate.layout, seconds)
        return _Found(cost=cost, candidate=candidate, placement=placement, estimated_s=seconds)

    def _simulations(self, order: Sequence[_Found], own: _Found | None, top: int) -> list[_Simulated]:
        """The job's own plan, the best with its axes, and the best of all, until the next seems worse than those."""
        done = self._simulation(own) if own else []
        alike = next((each for each in order if own and each.candidate.layout == own.candidate.layout), None)
        if own and alike and alike.plan != own.plan:
            done += self._simulation(alike)
        for number, each in enumerate(order[: _TRIES * top]):
            costs = sorted(one.cost for one in done if one.point.memory_fits)
            if number >= top and len(costs) >= top and each.cost > costs[top - 1]:
                break
            if each.plan not in [one.found.plan for one in done]:
                done += self._simulation(each)
        return done

    def _simulation(self, found: _Found) -> list[_Simulated]:
        """One plan; nothing if it is refused."""
        layout = found.candidate.layout
        self._begin(f"simulating dp {layout.data:,} x tp {layout.tensor} x pp {layout.pipeline}")
        try:
            workload = self._plugins.capture(job_of(self._job, found.candidate, found.placement), layout.ranks)
        except JobError:
            self._refused += 1
            return []
        nodes = self._nodes_of(layout)
        point = simulate(workload, self._machine, nodes, plugins=self._plugins)
        state, share = self._leanest_state(workload, nodes)
        return [_Simulated(found=found, cost=share * self._cost(layout, point.step_s), point=point, power_state=state)]

    def _leanest_state(self, workload: Workload, nodes: int) -> tuple[str, float]:
        """The power state in which a step takes least energy, and its share of that in the state of all arithmetic."""
        if not self._states:
            return "", 1.0
        arithmetic = [state.arithmetic for state in self._states]
        steps = even_steps(workload, self._machine, nodes, arithmetic=arithmetic, plugins=self._plugins)
        joules = {state: step.step_s * state.busy_w for state, step in zip(self._states, steps, strict=True)}
        leanest = min(joules, key=lambda state: joules[state])
        return leanest.name, joules[leanest] / joules[_whole(self._states)]

    def _nodes_of(self, layout: Layout) -> int:
        return layout.ranks // self._machine.node.devices

    def _cost(self, layout: Layout, seconds: float) -> float:
        """What is to be small, for each sample."""
        each_s = seconds / (layout.data * self._job.batch_on(layout.data))
        if self._objective is Objective.TIME:
            return each_s
        node_s = each_s * self._nodes_of(layout)
        return node_s / _HOUR_S if self._objective is Objective.NODE_HOURS else node_s * _whole(self._states).busy_w

    def _none(self, bounds: Bounds) -> str:
        """Why there is no plan."""
        device = self._setting.device
        where = f"{count_of(self._nodes, 'node')} of {self._machine.name!r}"
        plans = count_of(bounds.looked_at, "plan")
        if bounds.looked_at == bounds.refused:
            return (
                f"job {self._job.name!r}: none of {plans} goes together with the job on {where}; its batch is dealt "
                "out evenly to the data-parallel ranks: change train.global_batch or the nodes"
            )
        return (
            f"job {self._job.name!r}: no plan fits on {where}: the leanest of {plans} needs "
            f"{format_quantity(bounds.leanest_bytes, 'B')} a rank, and {device.name} has "
            f"{format_quantity(device.memory_bytes, 'B')}; use more nodes, or a smaller network"
        )


def _planned(
    job: Job, each: _Simulated, fitting: Sequence[_Simulated], order: Sequence[_Found], own: _Found | None
) -> Planned:
    """A plan with its rank: simulations count against simulations, estimates against estimates."""
    seen = [one.found for one in fitting]
    better = sum(one.cost < each.cost for one in fitting)
    better += sum(one.cost < each.found.cost and one not in seen for one in order)
    best = fitting[0]
    return Planned(
        rank=better + 1,
        nodes=each.point.nodes,
        parallel=job_of(job, each.found.candidate, each.found.placement).parallel,
        is_own=each.found is own,
        estimated_s=each.found.estimated_s,
        point=each.point,
        cost=each.cost,
        power_state=each.power_state,
        why="" if each is best else why(each.point, best.point),
    )


def _states(machine: Machine) -> tuple[PowerState, ...]:
    """In which nodes can train."""
    if machine.power is None:
        raise MachineError(
            f"{machine.name!r} does not tell its power: ask for time or node-hours, or add [power] to it"
        )
    return machine.power.states


def _whole(states: Sequence[PowerState]) -> PowerState:
    """The state that has all of the device's arithmetic, for which estimates are made."""
    return next(state for state in states if state.arithmetic == 1)
