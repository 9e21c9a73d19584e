"""A network of beads whose every plan is captured by hand: what it does, sends and holds is plain to see."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from fujimi_core.device import Device
from fujimi_core.errors import JobError
from fujimi_core.facilities import Power, PowerState
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job, Offload, Recompute, Schedule, recompute_of
from fujimi_core.machine import Machine, Network, Node
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Generator, Model
from fujimi_core.plan import Plan, deal_blocks, plan_of
from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel, Memory, Recv, Role, Send, Workload

#: Of a block on one rank: arithmetic of a sample forward, parameters, what is kept of a sample, what is sent of it.
FLOPS, PARAMETERS, KEPT, SENT = 8 * 10**9, 10**8, 4 * 10**8, 10**6
DEPTH, HEADS = 4, 4


class Beads:
    """Captures blocks of one product forward and two backward, whose ranks sum what they give once on each way.

    The last rank makes logits, which are another half of a product. There is neither an interleaved nor a zero-bubble
    schedule.
    """

    def __init__(self) -> None:
        self.captured = 0

    @hookimpl
    def fujimi_models(self) -> Sequence[Model]:
        return [Model(name="beads", summary="", build=lambda job: None)]

    @hookimpl
    def fujimi_generators(self) -> Sequence[Generator]:
        return [Generator(name="rods", summary="", render=lambda **_: None)]  # type: ignore[arg-type]

    @hookimpl
    def fujimi_machines(self) -> Sequence[Machine]:
        return [machine()]

    @hookimpl
    def fujimi_capture(self, job: Job, model: Model, ranks: int) -> Workload:
        spec, plan, depth = job.parallel, plan_of(job, ranks), job.model.depth or DEPTH
        if HEADS % spec.tensor:
            raise JobError(f"parallel.tensor = {spec.tensor}: {HEADS} heads do not divide")
        if spec.schedule not in (Schedule.GPIPE, Schedule.ONE_F_ONE_B):
            raise JobError("no such plan of beads")
        if plan.stages > depth:
            raise JobError(f"{depth} blocks do not fill {plan.stages} stages")
        self.captured += 1
        mesh = Mesh(axes=tuple(axis for axis in plan.mesh.axes if axis.extent > 1 or axis.name == "dp"))
        roles = tuple(_role(job, plan, depth, stage) for stage in range(plan.extent("pp")))
        return Workload(job=job.name, mesh=mesh, samples_per_step=plan.global_batch, roles=roles)


def _role(job: Job, plan: Plan, depth: int, stage: int) -> Role:
    where = {"pp": (stage, stage + 1)} if plan.extent("pp") > 1 else {}
    rank = _Rank(job, plan, depth, stage)
    return Role(name=f"rank {stage}", where=where, events=tuple(rank.events), memory=rank.memory())


class _Rank:
    def __init__(self, job: Job, plan: Plan, depth: int, stage: int) -> None:
        self.job, self.plan, self.stage = job, plan, stage
        self.stages, self.tensor = plan.extent("pp"), plan.extent("tp")
        self.replicas, self.zero = plan.extent("dp"), job.parallel.zero
        self.blocks = deal_blocks(depth, self.stages, stage)
        self.parameters = len(self.blocks) * PARAMETERS // self.tensor
        self.events: list[Event] = []
        self.waits: tuple[int, ...] = ()
        for work in self._order():
            self._forward() if work == "f" else self._backward()
        self._finish()

    def memory(self) -> Memory:
        states = {0: (1, 1, 2), 1: (1, 1, 2 / self.replicas), 2: (1, 1 / self.replicas, 2 / self.replicas)}
        shares = states.get(self.zero, (1 / self.replicas, 1 / self.replicas, 2 / self.replicas))
        if self.replicas == 1:
            shares = states[0]
        parameters, gradients, optimizer = (round(share * self.parameters) for share in shares)
        if self._offloads(Offload.OPTIMIZER):
            optimizer = 0
        flights = self.plan.microbatches
        if self.job.parallel.schedule is Schedule.ONE_F_ONE_B:
            flights = min(flights, self.stages - self.stage)
        kept = 0 if self._offloads(Offload.ACTIVATIONS) else sum(self._kept(block) for block in self.blocks)
        activations = self.plan.microbatch * (flights * kept + KEPT // self.tensor)
        return Memory(
            peak_bytes=parameters + gradients + optimizer + activations,
            parameter_bytes=parameters,
            gradient_bytes=gradients,
            optimizer_bytes=optimizer,
            activation_bytes=activations,
        )

    def _order(self) -> Iterator[str]:
        microbatches = self.plan.microbatches
        ahead = microbatches
        if self.job.parallel.schedule is Schedule.ONE_F_ONE_B:
            ahead = min(self.stages - self.stage - 1, microbatches)
        yield from "f" * ahead
        yield from "fb" * (microbatches - ahead)
        yield from "b" * ahead

    def _offloads(self, what: Offload) -> bool:
        return self.job.parallel.offload in (what, Offload.ALL)

    def _kept(self, block: int) -> int:
        return {Recompute.FULL: SENT, Recompute.SELECTIVE: KEPT // 2 // self.tensor}.get(
            self._how(block), KEPT // self.tensor
        )

    def _move(self, block: int, phase: str) -> None:
        if self._offloads(Offload.ACTIVATIONS):
            kept = self.plan.microbatch * self._kept(block)
            self.events.append(
                Kernel(op="aten.copy_", dtype="float32", flops=0, nbytes=2 * kept, outside_bytes=kept, phase=phase)
            )

    def _how(self, block: int) -> Recompute:
        return recompute_of(self.job.parallel.recompute, block)

    def _forward(self) -> None:
        self._collect("forward")
        if self.stage:
            self._add(Recv(nbytes=self._sent, axis="pp", offset=-1, phase="forward"))
        for block in self.blocks:
            self._products(1, "forward")
            self._move(block, "forward")
        if self.stage == self.stages - 1:
            self._product(FLOPS // 2, "forward")
        else:
            self._send(1, "forward")

    def _backward(self) -> None:
        self._collect("backward")
        if self.stage < self.stages - 1:
            self._add(Recv(nbytes=self._sent, axis="pp", offset=1, phase="backward"))
        for block in self.blocks:
            self._move(block, "backward")
            again = {Recompute.FULL: 1, Recompute.SELECTIVE: 0.5}.get(self._how(block), 0)
            if again:
                self._product(int(again * FLOPS), "backward")
            self._products(2, "backward")
        if self.stage:
            self._send(-1, "backward")
        if self.zero >= 2 and self.replicas > 1:
            self._wait(CollectiveKind.REDUCE_SCATTER, self.parameters, ("dp",), "backward")

    def _finish(self) -> None:
        if self.replicas > 1 and self.zero < 2:
            kind = CollectiveKind.REDUCE_SCATTER if self.zero else CollectiveKind.ALL_REDUCE
            self._wait(kind, self.parameters, ("dp",), "backward")
        state = 2 * self.parameters // (self.replicas if self.zero else 1)
        outside = 2 * state if self._offloads(Offload.OPTIMIZER) else 0
        self.events.append(
            Kernel(
                op="aten.adamw",
                dtype="float32",
                flops=0,
                nbytes=2 * state,
                outside_bytes=outside,
                phase="optimizer",
                waits=self.waits,
            )
        )
        if self.replicas > 1 and self.zero in (1, 2):
            self._wait(CollectiveKind.ALL_GATHER, self.parameters, ("dp",), "optimizer")

    def _collect(self, phase: str) -> None:
        if self.zero == 3 and self.replicas > 1:
            self._wait(CollectiveKind.ALL_GATHER, self.parameters, ("dp",), phase)

    def _products(self, number: int, phase: str) -> None:
        for _ in range(number):
            self._product(FLOPS, phase)
        if self.tensor > 1:
            self._wait(CollectiveKind.ALL_REDUCE, self._sent, ("tp",), phase)

    def _product(self, flops: int, phase: str, nbytes: int = 8) -> None:
        share = flops * self.plan.microbatch // self.tensor
        kernel = Kernel(op="aten.mm", dtype="float32", flops=share, nbytes=nbytes, phase=phase, waits=self.waits)
        self.waits = ()
        self.events.append(kernel)

    def _wait(self, kind: CollectiveKind, nbytes: int, axes: tuple[str, ...], phase: str) -> None:
        last = (len(self.events) - 1,) if self.events else ()
        self._add(Collective(kind=kind, nbytes=nbytes, axes=axes, dtype="float32", phase=phase, waits=last))

    def _add(self, event: Event) -> None:
        self.waits = (*self.waits, len(self.events))
        self.events.append(event)

    def _send(self, offset: int, phase: str) -> None:
        last = (len(self.events) - 1,)
        self.events.append(Send(nbytes=self._sent, axis="pp", offset=offset, phase=phase, waits=last))

    @property
    def _sent(self) -> int:
        return SENT * self.plan.microbatch


def machine(*, nodes: int = 8, memory_bytes: float = 4e9, bandwidth_bytes_per_s: float = 1e9) -> Machine:
    """Nodes of 0.8 TFLOP/s behind a switch that never blocks."""
    device = Device(
        name="abacus",
        memory_bytes=memory_bytes,
        memory_bandwidth_bytes_per_s=1e11,
        memory_efficiency=1.0,
        outside_bandwidth_bytes_per_s=1e10,
        peak_flops_per_s={"float32": 1e12},
        gemm_efficiency=0.8,
        gemm_half_extent=0,
        kernel_overhead_s=0.0,
    )
    node = Node(
        devices=1,
        device=device,
        interfaces=1,
        interface_bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        injection_bandwidth_bytes_per_s=bandwidth_bytes_per_s,
    )
    network = Network(
        topology="nonblocking",
        link_bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        hop_latency_s=0,
        message_latency_s=1e-6,
    )
    power = Power(states=(PowerState(name="normal", arithmetic=1.0, busy_w=150.0),), idle_w=50.0)
    return Machine(name="toy", title="A toy", nodes=nodes, node=node, network=network, power=power)


def of_batch(job: Job, batch: int) -> Job:
    return replace(job, train=replace(job.train, global_batch=batch))


@pytest.fixture
def beads() -> Beads:
    return Beads()


@pytest.fixture
def capture(beads: Beads) -> Beads:
    return beads


@pytest.fixture
def job(job: Job) -> Job:
    """8 samples a step."""
    return replace(of_batch(job, 8), name="necklace")
