"""Finds plugins and asks them, one by one, so that a broken one stops nothing."""

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

import pluggy

from fujimi_core import hookspecs, machine_file
from fujimi_core.device import Device
from fujimi_core.errors import FujimiError, JobError, MachineError, PluginError, unknown
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.measurements import MeasurementFile
from fujimi_core.mesh import Mesh
from fujimi_core.network import CollectiveAlgorithm, Topology
from fujimi_core.offers import Command, Generator, Model, Scheduler, TopologyOffer
from fujimi_core.placement import Placement
from fujimi_core.progress import CheckpointSaved, RunFinished, RunStarted, StepFinished, StepRejected
from fujimi_core.published import PublishedRuns
from fujimi_core.workload import Collective, Kernel, Workload

DISABLE_VARIABLE = "FUJIMI_DISABLE_PLUGINS"
STRICT_VARIABLE = "FUJIMI_STRICT_PLUGINS"
_log = logging.getLogger(__name__)
_OFFERED: dict[str, type] = {
    "fujimi_machines": Machine,
    "fujimi_topologies": TopologyOffer,
    "fujimi_generators": Generator,
    "fujimi_models": Model,
    "fujimi_launchers": Scheduler,
    "fujimi_commands": Command,
}
Offer = TypeVar("Offer", Machine, TopologyOffer, CollectiveAlgorithm, Generator, Model, Scheduler, Command)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """One plugin, for people.

    Args:
        name: Of its entry point.
        distribution: That it was installed with, and its version.
        hooks: That it implements.
        problem: Why it is not used, or only in part; empty if all is well.
    """

    name: str
    distribution: str
    hooks: tuple[str, ...] = ()
    problem: str = ""


class Plugins:
    """All plugins, typed.

    Args:
        strict: Raise at the first broken plugin instead of going on without it.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self._manager = pluggy.PluginManager(hookspecs.GROUP)
        self._manager.add_hookspecs(hookspecs)
        self._distributions: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        self._collected: dict[str, dict[str, Any]] = {}

    @classmethod
    def installed(cls, *, strict: bool | None = None, disabled: Iterable[str] | None = None) -> "Plugins":
        """All plugins of this environment.

        Args:
            strict: As in the constructor; by default whether ``FUJIMI_STRICT_PLUGINS`` is set to something else than 0.
            disabled: Names to leave out, ``*`` for all but core; by default those in ``FUJIMI_DISABLE_PLUGINS``.

        Raises:
            PluginError: In strict mode, if one is broken.
        """
        if strict is None:
            strict = os.environ.get(STRICT_VARIABLE, "0") not in ("", "0")
        if disabled is None:
            disabled = os.environ.get(DISABLE_VARIABLE, "").split(",")
        left_out = {name.strip() for name in disabled}
        plugins = cls(strict=strict)
        for entry in sorted(entry_points(group=hookspecs.GROUP), key=lambda entry: entry.name):
            if entry.name in left_out or ("*" in left_out and entry.name != "core"):
                continue
            plugins._load(entry)
        return plugins

    def register(self, plugin: object, name: str) -> None:
        """Add a plugin that is no entry point: a test's, or a program's own.

        Raises:
            PluginError: If the name is taken, or a hook or one of its arguments does not exist.
        """
        try:
            self._add(plugin, name)
        except (ValueError, pluggy.PluginValidationError) as wrong:
            raise PluginError(f"plugin {name!r}: {wrong}") from None
        self._distributions[name] = ""

    def infos(self) -> list[PluginInfo]:
        """What is installed, and what is wrong with it; collects all offers to find out."""
        for collect in (
            self.machines,
            self.topologies,
            self.collectives,
            self.generators,
            self.models,
            self.schedulers,
            self.commands,
        ):
            collect()
        return [self._info(name) for name in sorted(self._distributions)]

    # offers

    def machines(self) -> dict[str, Machine]:
        """Machines by name."""
        return self._offers("fujimi_machines")

    def machine(self, name: str) -> Machine:
        """A machine by name, or that of a machine file, whose name ends in ``.toml``.

        Raises:
            MachineError: If no plugin offers it, or the file is none.
        """
        if name.endswith(".toml"):
            return machine_file.load(Path(name))
        return _named(self.machines(), name, "machine", MachineError)

    def topologies(self) -> dict[str, TopologyOffer]:
        """Kinds of network by name."""
        return self._offers("fujimi_topologies")

    def topology(self, machine: Machine) -> Topology:
        """The network of a machine.

        Raises:
            MachineError: If no plugin offers its kind.
        """
        offer = _named(self.topologies(), machine.network.topology, "topology", MachineError)
        return offer.build(machine)

    def collectives(self) -> dict[str, CollectiveAlgorithm]:
        """Algorithms for collectives by name."""
        return self._offers("fujimi_collectives")

    def measurements(self) -> dict[str, MeasurementFile]:
        """Files of measurements by name."""
        return self._offers("fujimi_measurements")

    def published_runs(self) -> dict[str, PublishedRuns]:
        """Tables of published training runs by name."""
        return self._offers("fujimi_published_runs")

    def generators(self) -> dict[str, Generator]:
        """Families of pictures by name."""
        return self._offers("fujimi_generators")

    def generator(self, name: str) -> Generator:
        """A family of pictures by name.

        Raises:
            JobError: If no plugin offers it.
        """
        return _named(self.generators(), name, "generator", JobError)

    def models(self) -> dict[str, Model]:
        """Networks by name."""
        return self._offers("fujimi_models")

    def model(self, name: str) -> Model:
        """A network by name.

        Raises:
            JobError: If no plugin offers it.
        """
        return _named(self.models(), name, "model", JobError)

    def schedulers(self) -> dict[str, Scheduler]:
        """Batch schedulers by name."""
        return self._offers("fujimi_launchers")

    def scheduler(self, name: str) -> Scheduler:
        """A batch scheduler by name.

        Raises:
            PluginError: If no plugin offers it.
        """
        return _named(self.schedulers(), name, "scheduler", PluginError)

    def commands(self) -> dict[str, Command]:
        """Commands by their words."""
        return self._offers("fujimi_commands")

    # decisions

    def capture(self, job: Job, ranks: int) -> Workload:
        """One step of a job on so many ranks.

        Raises:
            JobError: If no plugin offers the model or the generator that it names.
            PluginError: If no plugin captures jobs.
        """
        nobody = PluginError("no installed plugin captures jobs: pip install fujimi-train, or give a workload file")
        if not self._implementations("fujimi_capture"):
            raise nobody  # not that its model is unknown: that comes with what captures
        if not job.data.is_tokens and not job.data.is_packed:
            self.generator(job.data.family)
        model = self.model(job.model.name)
        workload: Workload | None = self._decide("fujimi_capture", job=job, model=model, ranks=ranks)
        if workload is None:
            raise nobody
        return workload

    def place_ranks(self, mesh: Mesh, machine: Machine, topology: Topology, nodes: int) -> Placement:
        """Node and device of every rank.

        Raises:
            PluginError: If no plugin places them.
        """
        placement: Placement | None = self._decide(
            "fujimi_place_ranks", mesh=mesh, machine=machine, topology=topology, nodes=nodes
        )
        if placement is None:
            raise PluginError("no installed plugin places ranks: pip install fujimi-sim")
        return placement

    def choose_collective(
        self, collective: Collective, members: int, machine: Machine, names: Sequence[str]
    ) -> str | None:
        """Name of an algorithm, or None if no plugin has an opinion.

        Raises:
            PluginError: If a plugin chose one that is not among the names.
        """
        name: str | None = self._decide(
            "fujimi_choose_collective", collective=collective, members=members, machine=machine, names=names
        )
        if name is not None and name not in names:
            raise PluginError(f"fujimi_choose_collective: {unknown('algorithm', name, names)}")
        return name

    def kernel_seconds(self, kernel: Kernel, device: Device) -> float:
        """Time of an operator on a device [s].

        Raises:
            PluginError: If no plugin knows.
        """
        seconds: float | None = self._decide("fujimi_kernel_seconds", kernel=kernel, device=device)
        if seconds is None:
            raise PluginError(f"no installed plugin knows how long {kernel.op} takes: pip install fujimi-sim")
        return seconds

    # notifications

    def run_started(self, event: RunStarted) -> None:
        """Tell that a run begins."""
        self._notify("fujimi_run_started", event)

    def step_finished(self, event: StepFinished) -> None:
        """Tell that a step is done."""
        self._notify("fujimi_step_finished", event)

    def checkpoint_saved(self, event: CheckpointSaved) -> None:
        """Tell that a checkpoint is on disk."""
        self._notify("fujimi_checkpoint_saved", event)

    def step_rejected(self, event: StepRejected) -> None:
        """Tell that a bad step was not applied."""
        self._notify("fujimi_step_rejected", event)

    def run_finished(self, event: RunFinished) -> None:
        """Tell that a run is over."""
        self._notify("fujimi_run_finished", event)

    # how plugins are called

    def _load(self, entry: EntryPoint) -> None:
        distribution = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
        self._distributions.setdefault(entry.name, distribution)
        try:
            self._add(entry.load(), entry.name)
        except (Exception, SystemExit) as wrong:  # a script without a main guard ends in SystemExit
            self._report(entry.name, f"{distribution} cannot be loaded: {_brief(wrong)}".strip(), wrong)

    def _add(self, plugin: object, name: str) -> None:
        """Register a plugin whole or not at all."""
        if self._manager.has_plugin(name):
            raise ValueError(f"the name is taken, by {self._distributions.get(name) or 'a plugin of this program'}")
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except Exception:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            raise
        self._collected.clear()

    def _info(self, name: str) -> PluginInfo:
        plugin = self._manager.get_plugin(name)
        callers = (self._manager.get_hookcallers(plugin) or []) if plugin else []
        hooks = tuple(sorted(caller.name for caller in callers))
        problem = self._problems.get(name, "")
        return PluginInfo(name=name, distribution=self._distributions[name], hooks=hooks, problem=problem)

    def _implementations(self, hook: str) -> list[tuple[str, Callable[..., Any], tuple[str, ...]]]:
        """Plugin name, function and arguments of each implementation, first to be asked first."""
        found = getattr(self._manager.hook, hook).get_hookimpls()
        return [(each.plugin_name, each.function, each.argnames) for each in reversed(found)]

    def _offers(self, hook: str) -> dict[str, Any]:
        if hook not in self._collected:
            self._collected[hook] = self._collect(hook)
        return self._collected[hook]

    def _collect(self, hook: str) -> dict[str, Any]:
        offers: dict[str, Any] = {}
        owners: dict[str, str] = {}
        for plugin, function, _ in self._implementations(hook):
            for offer in self._ask(plugin, function, hook):
                if offer.name in offers:
                    clash = f"{hook}: {offer.name!r} is offered by plugin {owners[offer.name]!r} already"
                    self._report(plugin, clash, PluginError(clash))
                    continue
                offers[offer.name] = offer
                owners[offer.name] = plugin
        return offers

    def _ask(self, plugin: str, function: Callable[..., Any], hook: str) -> list[Any]:
        """What one plugin offers; nothing if it fails or offers something else than the hook asks for."""
        try:
            offered = list(function())
            kind: Any = _OFFERED.get(hook, object)
            strange = [offer for offer in offered if not isinstance(offer, kind) or not isinstance(offer.name, str)]
            if strange:
                raise TypeError(f"offers {strange[0]!r}, which is no {kind.__name__}")
        except Exception as wrong:
            self._report(plugin, f"{hook} failed: {_brief(wrong)}", wrong)
            return []
        return offered

    def _decide(self, hook: str, **arguments: Any) -> Any:
        for plugin, function, names in self._implementations(hook):
            try:
                answer = function(*(arguments[name] for name in names))
            except FujimiError:
                raise
            except Exception as wrong:
                raise PluginError(
                    f"plugin {plugin!r}: {hook} failed: {_brief(wrong)}; leave it out with {DISABLE_VARIABLE}={plugin}"
                ) from wrong
            if answer is not None:
                return answer
        return None

    def _notify(self, hook: str, event: object) -> None:
        for plugin, function, names in self._implementations(hook):
            try:
                function(*(event for _ in names))
            except Exception as wrong:
                self._report(plugin, f"{hook} failed: {_brief(wrong)}", wrong)

    def _report(self, plugin: str, problem: str, wrong: BaseException) -> None:
        if self.strict:
            raise PluginError(f"plugin {plugin!r}: {problem}") from wrong
        if plugin not in self._problems:
            _log.warning("plugin %r: %s", plugin, problem)
        self._problems.setdefault(plugin, problem)


def _named(offers: dict[str, Offer], name: str, what: str, error: type[FujimiError]) -> Offer:
    if name not in offers:
        raise error(unknown(what, name, offers))
    return offers[name]


def _brief(wrong: BaseException) -> str:
    return f"{type(wrong).__name__}: {wrong}"
