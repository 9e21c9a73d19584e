"""Stages: the part of a network that a rank holds, built without the rest."""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from fujimi_core.errors import JobError, PluginError
from fujimi_core.offers import Sharding, Style
from fujimi_core.plan import deal_blocks
from torch import nn

from fujimi_parallel.axes import Axes
from fujimi_parallel.tensor_parallel import share

#: Half-open range of each dim of a tensor.
Block = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What this rank holds of one parameter.

    Args:
        shape: Of the whole parameter.
        block: Which part of it.
    """

    shape: tuple[int, ...]
    block: Block

    @property
    def is_whole(self) -> bool:
        """Whether it is all of it."""
        return all(stop - start == extent for extent, (start, stop) in zip(self.shape, self.block, strict=True))


class Stage(nn.Module):
    """Consecutive parts of a network: ``first`` if it is the first stage, blocks, ``last`` if it is the last.

    Args:
        parts: Modules by their names in the network, in the order in which they are called.
        held: What this rank holds of each parameter, by its name in the network.
        number: Of the stage.
    """

    def __init__(self, parts: Mapping[str, nn.Module], held: Mapping[str, Held], *, number: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts.values())
        self.part_names = tuple(parts)
        self.held = dict(held)
        self.number = number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Call the parts one after the other."""
        for part in self.parts:
            x = part(x)
        return x

    def named_parts(self) -> Iterator[tuple[str, nn.Module]]:
        """Parts with their names in the network."""
        return zip(self.part_names, self.parts, strict=True)

    def parameters_by_name(self) -> dict[str, nn.Parameter]:
        """Parameters by their names in the network."""
        return {
            f"{name}.{own}" if name else own: parameter
            for name, part in self.named_parts()
            for own, parameter in part.named_parameters()
        }


class Builder:
    """Makes the stages of one rank out of a network on the meta device, which has shapes but no memory.

    Args:
        model: Is taken apart.
        sharding: How it can be; without, there is one stage that has all of it.
        axes: Of this rank.
        device: Where parameters go.
        seed: Of their initial values, which depend on it and on the name of the module only.

    Raises:
        JobError: If the network cannot be shared by so many ranks; says what would work.
    """

    def __init__(self, model: nn.Module, sharding: Sharding, axes: Axes, *, device: torch.device, seed: int) -> None:
        self._model = model
        self._sharding = sharding
        self._axes = axes
        self._device = device
        self._seed = seed
        self._blocks = dict(_submodule(model, sharding.blocks).named_children())
        self._require_whole_heads()

    @property
    def blocks(self) -> int:
        """Number of blocks of the whole network."""
        return len(self._blocks)

    def build(self, number: int, stages: int, *, ready: Callable[[str, nn.Module], None]) -> Stage:
        """Make one stage, part by part, so that no more than one part is held in full.

        Args:
            number: Of the stage.
            stages: Of all ranks.
            ready: Is told name and module of each part as soon as it has its parameters.

        Raises:
            JobError: If there are fewer blocks than stages.
        """
        names = names_of_parts(list(self._blocks), self._sharding, number=number, stages=stages)
        parts = {name: _submodule(self._model, name) for name in names}
        held: dict[str, Held] = {}
        for name, part in parts.items():
            held |= self._materialise(name, part)
            ready(name, part)
        return Stage(parts, held, number=number)

    def _materialise(self, part_name: str, part: nn.Module) -> dict[str, Held]:
        held = {}
        for own, module in part.named_modules():
            name = f"{part_name}.{own}" if own else part_name
            shapes = {key: tuple(parameter.shape) for key, parameter in module.named_parameters(recurse=False)}
            if not shapes and not list(module.buffers(recurse=False)):
                continue
            self._initialise(name, module)
            style = self._style_of(name)
            cuts = {}
            group = self._axes.group("tp")
            if style is not None and group is not None:
                try:
                    cuts = share(module, style, group, name=name)
                except ValueError as wrong:
                    raise JobError(f"parallel.tensor = {group.size()}: {wrong}") from None
            for key, shape in shapes.items():
                block = [(0, extent) for extent in shape]
                if key in cuts:
                    dim, start, stop = cuts[key]
                    block[dim] = (start, stop)
                held[f"{name}.{key}"] = Held(shape=shape, block=tuple(block))
        return held

    def _initialise(self, name: str, module: nn.Module) -> None:
        reset = getattr(module, "reset_parameters", None)
        if reset is None:
            raise PluginError(
                f"{name} ({type(module).__name__}) has parameters but no reset_parameters(), which a network that "
                "offers a sharding table needs"
            )
        for key, parameter in list(module.named_parameters(recurse=False)):
            room = torch.empty(parameter.shape, dtype=parameter.dtype, device=self._device)
            setattr(module, key, nn.Parameter(room, requires_grad=parameter.requires_grad))
        for key, buffer in list(module.named_buffers(recurse=False)):
            setattr(module, key, torch.empty(buffer.shape, dtype=buffer.dtype, device=self._device))
        torch.manual_seed(self._seed ^ zlib.crc32(name.encode()))
        with torch.no_grad():
            reset()

    def _style_of(self, name: str) -> Style | None:
        return self._sharding.styles.get(_starred(name, self._sharding.blocks))

    def _require_whole_heads(self) -> None:
        ranks, sharding = self._axes.extent("tp"), self._sharding
        prefix, _, attribute = sharding.heads.removeprefix(f"{sharding.blocks}.*.").rpartition(".")
        for block in self._blocks.values():
            heads = getattr(_submodule(block, prefix), attribute)
            if heads % ranks:
                fits = max(number for number in range(1, ranks + 1) if heads % number == 0)
                raise JobError(
                    f"parallel.tensor = {ranks}: {heads} attention heads do not divide; the nearest that works: "
                    f"tensor = {fits}"
                )


def names_of_parts(blocks: Sequence[str], sharding: Sharding, *, number: int, stages: int) -> list[str]:
    """Names of the parts of a stage, in the order in which they are called.

    Args:
        blocks: Names of all blocks, as children of what holds them.
        sharding: Of the network.
        number: Of the stage.
        stages: Of all ranks.

    Raises:
        JobError: If there are fewer blocks than stages.
    """
    try:
        numbers = deal_blocks(len(blocks), stages, number)
    except ValueError as wrong:
        raise JobError(f"parallel.pipeline x parallel.virtual_stages = {stages}: {wrong}") from None
    mine = [f"{sharding.blocks}.{blocks[block]}" for block in numbers]
    first = [sharding.first] if number == 0 else []
    last = [sharding.last] if number == stages - 1 else []
    return first + mine + last


def whole_stage(model: nn.Module) -> Stage:
    """A network without sharding table, all of it on every rank."""
    held = {
        name: Held(shape=tuple(parameter.shape), block=tuple((0, extent) for extent in parameter.shape))
        for name, parameter in model.named_parameters()
    }
    return Stage({"": model}, held, number=0)


def _starred(name: str, blocks: str) -> str:
    """The name of a module as the table has it: the number of its block left open.

    >>> _starred("blocks.11.attention.qkv", "blocks")
    'blocks.*.attention.qkv'
    """
    if not name.startswith(f"{blocks}."):
        return name
    _, _, inside = name.removeprefix(f"{blocks}.").partition(".")
    return f"{blocks}.*.{inside}"


def _submodule(model: nn.Module, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:
        raise PluginError(f"{type(model).__name__} has no {name!r}, which its sharding table names") from None
