"""What plugins offer: small records that import nothing heavy."""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fujimi_core.errors import unknown

# names for annotations only: who draws pictures needs no jobs, machines or networks, whose modules take 0.1 s to import
if TYPE_CHECKING:
    from fujimi_core.job import Job
    from fujimi_core.machine import Machine
    from fujimi_core.network import Topology
    from fujimi_core.plugins import Plugins
    from fujimi_core.submission import Submission


#: What an option of a family may be.
Option = bool | int | float | str


#: Draws one picture of a formula-driven family: keywords seed, category, instance, pixels and the family's options in,
#: shape (pixels, pixels), or (pixels, pixels, 3) in colour, out; a pure function of its arguments.
Render = Callable[..., NDArray[np.uint8]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """A family of formula-driven pictures.

    Args:
        name: By which jobs and commands ask for it.
        summary: One line for people.
        render: Draws one picture.
        options: Names of its further arguments, and their defaults, whose types theirs are.
    """

    name: str
    summary: str
    render: Render
    options: Mapping[str, Option] = field(default_factory=dict)

    def complete(self, given: Mapping[str, Option]) -> dict[str, Option]:
        """Check options and fill in defaults.

        Raises:
            ValueError: If an option is not of this family, or its value has another type.
        """
        for name in given:
            if name not in self.options:
                raise ValueError(unknown(f"option of {self.name}", name, self.options))
        return {
            name: _of_type(given[name], default, f"option {name} of {self.name}") if name in given else default
            for name, default in self.options.items()
        }


def _of_type(value: Option, default: Option, what: str) -> Option:
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{what} has {len(str(value))} digits: too large") from None
    if type(value) is not type(default):
        raise ValueError(f"{what} is {value!r}; it must be of type {type(default).__name__}, as {default!r} is")
    return value


class Style(StrEnum):
    """How the ranks of a tensor-parallel group share a layer.

    Source:
        Shoeybi et al., "Megatron-LM", 2019, section 3.
    """

    #: A linear layer's outputs: rows of the weight, and the bias.
    COLUMN = "column"
    #: A linear layer's inputs: columns of the weight; outputs are summed.
    ROW = "row"
    #: An embedding's words: rows of the weight; outputs are summed.
    VOCABULARY = "vocabulary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How a network can be spread over ranks: as ``last(blocks(first(inputs)))``.

    Blocks and what lies between them take and give tokens, shape (batch, tokens, width). Every module that owns
    parameters has ``reset_parameters()``, as torch's own have, which draws their initial values.

    Args:
        first: Name of the submodule that makes tokens.
        blocks: Name of the submodule, an ``nn.Sequential``, whose children are the blocks.
        last: Name of the submodule that makes logits of tokens.
        styles: How layers are shared by tensor-parallel ranks, by their names; ``*`` stands for the number of a block.
            Others are the same on all of them.
        heads: Name of the attribute that holds the number of attention heads; ``*`` as above. Ranks share whole heads.
        whole_sequence: Whether ``last`` needs all tokens of a sample. Otherwise it works on each token alone.
        causal: Whether a token's attention sees earlier tokens only.
    """

    first: str
    blocks: str
    last: str
    styles: Mapping[str, Style]
    heads: str
    whole_sequence: bool
    causal: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A network that jobs can name.

    Args:
        name: By which jobs ask for it.
        summary: One line for people.
        build: Makes the ``torch.nn.Module`` that a job describes; imports torch when called, not before.
        sharding: How it can be spread over ranks; without, all ranks hold all of it.
    """

    name: str
    summary: str
    build: Callable[["Job"], Any]
    sharding: Sharding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyOffer:
    """A kind of network that machine files can name.

    Args:
        name: By which machine files ask for it.
        build: Makes the topology of a machine.
    """

    name: str
    build: Callable[["Machine"], "Topology"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduler:
    """A batch scheduler to which jobs can be given.

    Args:
        name: By which ``fujimi submit`` asks for it.
        summary: One line for people.
        files: Makes the texts of the files that a job needs, by their names; the first is the batch script.
        submit: The scheduler's own program, and its arguments before the batch script.
    """

    name: str
    summary: str
    files: Callable[["Submission"], Mapping[str, str]]
    submit: tuple[str, ...]


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
