"""What chance does to a run: how fast its nodes are, when and how they fail."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from fujimi_core.facilities import Reliability
from fujimi_core.machine import Noise
from numpy.typing import NDArray

from fujimi_sim.meetings import Seconds
from fujimi_sim.simulation import draw_slowness

#: Slowest nodes that are kept in order; only when all of these were replaced, all are looked through again.
_KEPT = 64
#: What draws from a seed of its own.
_STRAGGLERS, _FATE = 1, 2
#: Delay that stands for a node that works no longer.
_DROPPED = -math.inf


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Nodes:
    """The nodes that a run gets.

    To first order a step is longer by as much as its slowest rank needs more for its own kernels.

    Args:
        compute_s: What each rank computes in a step at average speed, shape (nodes, devices).
        delay_s: Of each node, the time that its slowest rank needs more than that, shape (nodes,).
        order: Those with the longest delays, longest first.
    """

    compute_s: Seconds
    delay_s: Seconds
    order: NDArray[np.int64]

    @classmethod
    def of(cls, compute_s: Seconds, slowness: Seconds) -> "Nodes":
        """Find the slowest.

        Args:
            compute_s: As above.
            slowness: Factor on it, of the same shape.
        """
        delay_s = (compute_s * (slowness - 1.0)).max(axis=1)
        kept = min(_KEPT, len(delay_s))
        slowest = np.argpartition(-delay_s, kept - 1)[:kept]
        order = slowest[np.argsort(-delay_s[slowest], kind="stable")]
        return cls(compute_s=compute_s, delay_s=delay_s, order=order)

    def slowest_s(self, replaced: Mapping[int, float]) -> float:
        """Delay of a step, for which all wait for the slowest node.

        Args:
            replaced: Delays of nodes that took the place of others.
        """
        first = next((node for node in self.order if int(node) not in replaced), None)
        if first is not None:
            others = float(self.delay_s[first])
        else:
            others = float(np.delete(self.delay_s, list(replaced)).max(initial=-math.inf))
        return max(others, *replaced.values(), -math.inf)


def draw_nodes(compute_s: Seconds, noise: Noise, *, seed: int) -> Nodes:
    """Draw the nodes of a run: log-normal as those of a single step, and stragglers among them.

    Args:
        compute_s: What each rank computes in a step at average speed, shape (nodes, devices).
        noise: How unequal ranks are.
        seed: The same seed gives the same nodes.
    """
    slowness = draw_slowness(compute_s.size, std=noise.compute_std, seed=seed)
    random = np.random.default_rng([seed, _STRAGGLERS])
    return Nodes.of(compute_s, slowness.reshape(compute_s.shape) * _straggling(random, compute_s.shape, noise))


def _straggling(random: np.random.Generator, shape: tuple[int, ...], noise: Noise) -> Seconds:
    return np.where(random.random(shape) < noise.slow_share, noise.slow_factor, 1.0)


def time_between_failures_s(uniform: float, *, mean_s: float, shape: float) -> float:
    """Turn a uniform number into a time by Weibull's law, of which shape 1 is the exponential.

    ``scale * (-ln(1 - u)) ** (1 / shape)`` with ``scale = mean / Gamma(1 + 1 / shape)``.

    Args:
        uniform: 0 to 1, 1 excluded.
        mean_s: Mean time.
        shape: Above 0.

    Source:
        Weibull, "A statistical distribution function of wide applicability", J. Appl. Mech. 18, 1951; Schroeder and
        Gibson, "A large-scale study of failures in high-performance computing systems", DSN 2006, fit it to such times.
    """
    return mean_s / math.gamma(1 + 1 / shape) * math.pow(-math.log1p(-uniform), 1 / shape)


class Fate:
    """Draws what happens to one run; whoever asks the same questions in the same order gets the same answers.

    Args:
        nodes: That the run gets.
        noise: How unequal those are that take their places.
        reliability: How often nodes fail; None if they do not.
        seed: Of this run.
    """

    def __init__(self, nodes: Nodes, noise: Noise, reliability: Reliability | None, *, seed: int) -> None:
        self._nodes = nodes
        self._noise = noise
        self._reliability = reliability
        self._random = np.random.default_rng([seed, _FATE])
        self._replaced: dict[int, float] = {}

    @property
    def can_hang(self) -> bool:
        """Whether failures can be such that nobody is told."""
        return self._reliability is not None and self._reliability.hang_share > 0

    def delay_s(self) -> float:
        """By how much the slowest node delays each step."""
        return self._nodes.slowest_s(self._replaced)

    def failure_s(self, nodes: int) -> float:
        """Time until the next failure of so many nodes; infinite if they never fail."""
        if self._reliability is None:
            return math.inf
        mean_s = self._reliability.node_mtbf_s / nodes
        return time_between_failures_s(self._random.random(), mean_s=mean_s, shape=self._reliability.weibull_shape)

    def between_s(self, least_s: float, most_s: float) -> float:
        """A time between two bounds."""
        return float(self._random.uniform(least_s, most_s))

    def hangs(self) -> bool:
        """Whether the failure that is due is a hang."""
        return self._reliability is not None and bool(self._random.random() < self._reliability.hang_share)

    def replace_node(self) -> None:
        """Let another node take the place of the one that failed."""
        self._replace(self._one_of_them())

    def drop_node(self) -> None:
        """Let nobody take its place."""
        self._replaced[self._one_of_them()] = _DROPPED

    def replace_dropped_nodes(self) -> None:
        """Let others take the places of all that were dropped, when the job gets its nodes anew."""
        for node, delay_s in self._replaced.items():
            if delay_s == _DROPPED:
                self._replace(node)

    def _replace(self, node: int) -> None:
        compute_s = self._nodes.compute_s[node]
        sigma = math.sqrt(math.log1p(self._noise.compute_std**2))
        drawn = self._random.lognormal(-(sigma**2) / 2, sigma, len(compute_s))  # of mean 1
        slowness = drawn * _straggling(self._random, compute_s.shape, self._noise)
        self._replaced[node] = float((compute_s * (slowness - 1.0)).max())

    def _one_of_them(self) -> int:
        """A node that is still there."""
        while True:
            node = int(self._random.integers(len(self._nodes.delay_s)))
            if self._replaced.get(node) != _DROPPED:
                return node
