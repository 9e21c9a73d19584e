"""Estimates of a plan's step and memory, as arithmetic."""

from dataclasses import dataclass

import numpy as np
from fujimi_core.device import Device
from fujimi_core.job import Offload, ParallelSpec, Precision, Schedule
from fujimi_core.workload import CollectiveKind
from numpy.typing import NDArray

from fujimi_sim.planner.parts import Exchange
from fujimi_sim.planner.pipeline_time import pipeline_s, under_way
from fujimi_sim.planner.shares import Holding, Table
from fujimi_sim.planner.space import Candidate
from fujimi_sim.planner.traffic import Communicating

Values = NDArray[np.float64]

#: Of what is in memory with `Precision.PURE_BFLOAT16`: 2 bytes of a parameter, and 4 of its float32 copy.
_COPIES = 4 / 6
#: An update reads and writes the optimizer's state.
_TOUCHES = 2
_OUTSIDE_ACTIVATIONS = (Offload.ACTIVATIONS, Offload.ALL)
_OUTSIDE_STATE = (Offload.OPTIMIZER, Offload.ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What all plans of a search have in common.

    Args:
        table: What ranks do and hold.
        depth: Blocks of the network.
        spec: Of the job, for what is not searched.
        device: Which computes.
        slowest: Factor on the compute time of the slowest rank.
    """

    table: Table
    depth: int
    spec: ParallelSpec
    device: Device
    slowest: float


def step_s(candidate: Candidate, setting: Setting, traffic: Communicating, *, batch: int) -> float:
    """Time of a step.

    Args:
        candidate: The plan.
        setting: Of which network on which device.
        traffic: Its communication.
        batch: Samples a step of each data-parallel rank.
    """
    layout, rhythm, thrift = candidate
    work, holding = setting.table.work(candidate), setting.table.holding(layout, rhythm)
    forward_s, backward_s = setting.slowest * work.forward_s, setting.slowest * work.backward_s
    outside_bytes_per_s = setting.device.outside_bandwidth_bytes_per_s or np.inf
    if thrift.offload in _OUTSIDE_ACTIVATIONS:
        moved_s = setting.slowest * work.moved_bytes / outside_bytes_per_s
        forward_s, backward_s = forward_s + moved_s, backward_s + moved_s
    replicas = _Replicas(candidate, setting, traffic, holding)
    forward_more_s, backward_more_s = replicas.each_microbatch(forward_s, backward_s)
    piped_s = pipeline_s(
        rhythm.schedule,
        forward_s + forward_more_s + _exchanged(work.forward, traffic),
        backward_s + backward_more_s + _exchanged(work.backward, traffic),
        microbatches=batch // rhythm.microbatch,
        virtual_stages=rhythm.virtual_stages,
        weights_s=setting.slowest * work.weights_s,
        message_s=traffic.message_s(work.message_bytes) if layout.pipeline > 1 else 0.0,
    )
    update_s = holding.update_s
    if thrift.offload in _OUTSIDE_STATE:
        update_s = np.maximum(update_s, _TOUCHES * holding.optimizer_bytes / outside_bytes_per_s)
    shared = layout.replicas if thrift.zero else 1
    once_s = setting.slowest * float((update_s / shared + holding.gradients_s).max())
    return piped_s + once_s + replicas.after(backward_s)


class _Replicas:
    """What ranks with the same parameters exchange, so far as no kernels hide it."""

    def __init__(self, candidate: Candidate, setting: Setting, traffic: Communicating, holding: Holding) -> None:
        self._zero = candidate.thrift.zero
        self._late = candidate.rhythm.schedule is Schedule.ZERO_BUBBLE and candidate.layout.pipeline > 1
        self._traffic = traffic
        self._parameter_bytes, self._gradient_bytes = holding.parameter_bytes, holding.gradient_bytes
        virtual = candidate.rhythm.virtual_stages
        self._first_share = virtual / holding.units
        # collectives of tensor-parallel ranks wait for those that were begun before, and kernels for them
        self._hiding = 0.5 if candidate.layout.tensor > 1 else 1.0
        self._twice = virtual - 1 if self._zero == 2 else 0
        self._unit_bytes = holding.block_bytes if self._zero == 3 else float(setting.spec.bucket_bytes)

    def each_microbatch(self, forward_s: Values, backward_s: Values) -> tuple[Values | float, Values | float]:
        """Time that microbatches take longer: at level 2 to sum gradients, at level 3 to collect parameters too."""
        if self._zero < 2:
            return 0.0, 0.0
        forward_s, backward_s = self._hiding * forward_s, self._hiding * backward_s
        # what two stages of a rank have in one bucket travels with each of them
        twice = self._twice * np.minimum(self._gradient_bytes, self._unit_bytes)
        reduce_s = self._seconds(CollectiveKind.REDUCE_SCATTER, self._gradient_bytes + twice)
        if self._zero == 2:
            return 0.0, np.maximum(reduce_s - backward_s, 0.0)
        gather_s = self._seconds(CollectiveKind.ALL_GATHER, self._parameter_bytes)
        # the first part of a stage is waited for, those that follow come while the one before works
        bare_s, covered = gather_s * self._first_share, 1 - self._first_share
        forward_more_s = bare_s + np.maximum(covered * (gather_s - forward_s), 0.0)
        return forward_more_s, bare_s + np.maximum(covered * (gather_s - backward_s) + reduce_s, 0.0)

    def after(self, backward_s: Values) -> float:
        """Time after the last backward pass: what of the gradients is left to be summed, and new parameters."""
        kind = CollectiveKind.REDUCE_SCATTER if self._zero else CollectiveKind.ALL_REDUCE
        left_s = self._seconds(kind, np.minimum(self._gradient_bytes, self._unit_bytes))
        if self._zero < 2:
            hidden_s = 0.0 if self._late else self._hiding * backward_s
            left_s = np.maximum(self._seconds(kind, self._gradient_bytes) - hidden_s, left_s)
        if self._zero in (1, 2):
            left_s = left_s + self._seconds(CollectiveKind.ALL_GATHER, self._parameter_bytes)
        return float(left_s.max())

    def _seconds(self, kind: CollectiveKind, nbytes: Values) -> Values:
        return nbytes * self._traffic.replicas_s_per_byte(kind, self._unit_bytes)


def memory_bytes(candidate: Candidate, setting: Setting, *, batch: int) -> float:
    """High-water mark of the rank that needs most.

    Args:
        candidate: The plan.
        setting: Of which network.
        batch: Samples a step of each data-parallel rank.
    """
    layout, rhythm, thrift = candidate
    work = setting.table.work(candidate, microbatch=1)
    microbatches = batch // rhythm.microbatch
    kept = work.kept_bytes
    if thrift.offload in _OUTSIDE_ACTIVATIONS:
        kept = np.maximum(kept - work.moved_bytes, 0.0)
    flights = under_way(
        rhythm.schedule, layout.pipeline, microbatches=microbatches, virtual_stages=rhythm.virtual_stages
    )
    activations = rhythm.microbatch * (flights * kept + work.working_bytes)
    total: Values = _state(candidate, setting, several=microbatches > 1) + activations
    return float(total.max())


def _state(candidate: Candidate, setting: Setting, *, several: bool) -> Values:
    """Parameters, gradients and optimizer state of each pipeline rank, and buffers in which they travel."""
    zero, ranks = candidate.thrift.zero, candidate.layout.replicas
    holding = setting.table.holding(candidate.layout, candidate.rhythm)
    parameters, gradients = holding.parameter_bytes, holding.gradient_bytes
    moments = 0.0 if candidate.thrift.offload in _OUTSIDE_STATE else holding.optimizer_bytes
    if zero == 0:
        whole: Values = parameters + gradients + moments
        return whole
    if zero == 3:
        shared: Values = (parameters + gradients + moments + several * gradients) / ranks
        return shared + 3 * holding.unit_bytes
    if setting.spec.precision is Precision.PURE_BFLOAT16:
        parameters = parameters * (1 - _COPIES + _COPIES / ranks)
    if zero == 1:
        summed: Values = parameters + gradients + (moments + gradients) / ranks
        return summed
    bucket = np.minimum(gradients, float(setting.spec.bucket_bytes))
    kept: Values = parameters + (gradients + moments + several * gradients) / ranks + bucket
    return kept


def _exchanged(parts: tuple[tuple[Exchange, Values], ...], traffic: Communicating) -> Values | float:
    total: Values | float = 0.0
    for exchange, count in parts:
        total = total + count * traffic.exchange_s(exchange)
    return total
