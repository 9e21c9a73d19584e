"""What plugins offer: small records that import nothing heavy."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.network import Topology

if TYPE_CHECKING:
    from fujimi_core.plugins import Plugins


class Render(Protocol):
    """Draws one picture of a formula-driven family."""

    def __call__(self, *, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
        """Grey picture of shape (pixels, pixels); a pure function of its arguments."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A family of formula-driven pictures.

    Args:
        name: By which jobs and commands ask for it.
        summary: One line for people.
        render: Draws one picture.
    """

    name: str
    summary: str
    render: Render


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network that jobs can name.

    Args:
        name: By which jobs ask for it.
        summary: One line for people.
        build: Makes the ``torch.nn.Module`` that a job describes; imports torch when called, not before.
    """

    name: str
    summary: str
    build: Callable[[Job], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyOffer:
    """A kind of network that machine files can name.

    Args:
        name: By which machine files ask for it.
        build: Makes the topology of a machine.
    """

    name: str
    build: Callable[[Machine], Topology]


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command of the ``fujimi`` program.

    Args:
        path: Its words, one or two: ``("plugins",)``, ``("data", "generate")``.
        summary: One line for people.
        configure: Adds arguments to the command's parser.
        run: Does it; returns the exit code.
    """

    path: tuple[str, ...]
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace, "Plugins"], int]

    def __post_init__(self) -> None:
        if not 1 <= len(self.path) <= 2 or not all(self.path):
            raise ValueError(f"a command has a noun, or a noun and a verb; got path {self.path}")

    @property
    def name(self) -> str:
        """The words, joined."""
        return " ".join(self.path)
