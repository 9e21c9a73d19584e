"""Plugins: every hook through the typed facade, and plugins broken in every way."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fujimi_core.data_spec import DataSpec
from fujimi_core.device import Device
from fujimi_core.errors import JobError, MachineError, PluginError, WorkloadError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job, from_table
from fujimi_core.machine import Machine
from fujimi_core.machine_text import machine_toml
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Command, Generator, Model, Scheduler, TopologyOffer
from fujimi_core.placement import Placement, fill_nodes
from fujimi_core.plugins import Plugins
from fujimi_core.progress import CheckpointSaved, RunFinished, RunStarted, StepFinished, StepRejected
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Workload

KERNEL = Kernel(op="aten.mm", dtype="float32", flops=10, nbytes=4)
BARRIER = Collective(kind=CollectiveKind.BARRIER, nbytes=0, axes=("dp",), dtype="float32")
STARTED = {"ranks": 1, "first_step": 0, "device": "abacus", "peak_flops_per_s": 1e12}


@pytest.fixture
def job(job_table: dict[str, Any]) -> Job:
    return from_table(job_table)


def plugin(*hooks: Callable[..., Any]) -> SimpleNamespace:
    """A plugin with these hooks."""
    return SimpleNamespace(**{hook.__name__: hookimpl(hook) for hook in hooks})


def asking(*named: tuple[str, object], strict: bool = False) -> Plugins:
    plugins = Plugins(strict=strict)
    for name, each in named:
        plugins.register(each, name)
    return plugins


def broken(hook: str) -> SimpleNamespace:
    def function() -> Any:
        raise RuntimeError("out of beads")

    return SimpleNamespace(**{hook: _named(hook, function)})


def _named(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    function.__name__ = name
    return hookimpl(function)


def problem(plugins: Plugins, name: str) -> str:
    (info,) = [info for info in plugins.infos() if info.name == name]
    return info.problem


# offers


def test_machines_are_offered_by_name(machine: Machine) -> None:
    def fujimi_machines() -> Sequence[Machine]:
        return [machine]

    plugins = asking(("toys", plugin(fujimi_machines)))
    assert plugins.machines() == {"toy": machine}
    assert plugins.machine("toy") is machine


def test_topology_is_built_for_the_machine_that_names_it(machine: Machine) -> None:
    def fujimi_topologies() -> Sequence[TopologyOffer]:
        return [TopologyOffer(name="ring", build=lambda machine: (machine.name, "ring"))]  # type: ignore[arg-type,return-value]

    assert asking(("rings", plugin(fujimi_topologies))).topology(machine) == ("toy", "ring")


def test_algorithms_for_collectives_are_offered_by_name() -> None:
    algorithm: Any = SimpleNamespace(name="gossip", kinds=frozenset({CollectiveKind.ALL_REDUCE}))

    def fujimi_collectives() -> Sequence[Any]:
        return [algorithm]

    assert asking(("gossip", plugin(fujimi_collectives))).collectives() == {"gossip": algorithm}


def test_generators_are_offered_by_name() -> None:
    grey = Generator(name="grey", summary="grey", render=lambda **_: np.zeros((2, 2), np.uint8))

    def fujimi_generators() -> Sequence[Generator]:
        return [grey]

    assert asking(("greys", plugin(fujimi_generators))).generator("grey") is grey


def test_schedulers_are_offered_by_name() -> None:
    scheduler = Scheduler(name="cron", summary="at night", files=lambda submission: {}, submit=("at", "2:00"))

    def fujimi_launchers() -> Sequence[Scheduler]:
        return [scheduler]

    assert asking(("nights", plugin(fujimi_launchers))).scheduler("cron") is scheduler


def test_models_are_offered_by_name() -> None:
    model = Model(name="identity", summary="nothing", build=lambda job: None)

    def fujimi_models() -> Sequence[Model]:
        return [model]

    assert asking(("models", plugin(fujimi_models))).model("identity") is model


def test_commands_are_offered_by_their_words() -> None:
    command = Command(path=("toy", "spin"), summary="spin", configure=lambda p: None, run=lambda a, p: 0)

    def fujimi_commands() -> Sequence[Command]:
        return [command]

    assert asking(("toys", plugin(fujimi_commands))).commands() == {"toy spin": command}


def test_name_that_nobody_offers_is_refused_with_the_known_ones(machine: Machine) -> None:
    def fujimi_machines() -> Sequence[Machine]:
        return [machine]

    plugins = asking(("toys", plugin(fujimi_machines)))
    with pytest.raises(MachineError, match=r"Unknown machine: 'tyo'\. Known: toy\. Did you mean 'toy'\?"):
        plugins.machine("tyo")
    with pytest.raises(MachineError, match=r"Unknown topology: 'ring'\. Known: none\."):
        plugins.topology(machine)
    with pytest.raises(JobError, match=r"Unknown generator: 'fractal'\. Known: none\."):
        plugins.generator("fractal")
    with pytest.raises(JobError, match=r"Unknown model: 'vit'\. Known: none\."):
        plugins.model("vit")


def test_offers_are_collected_once_and_again_when_a_plugin_comes(machine: Machine) -> None:
    calls = []

    def fujimi_machines() -> Sequence[Machine]:
        calls.append(1)
        return [machine]

    plugins = asking(("toys", plugin(fujimi_machines)))
    plugins.machines()
    plugins.machines()
    assert len(calls) == 1
    plugins.register(SimpleNamespace(), "late")
    plugins.machines()
    assert len(calls) == 2


# decisions


VIT = Model(name="vit-tiny", summary="small", build=lambda job: None)
FRACTAL = Generator(name="fractal", summary="grey", render=lambda **_: np.zeros((2, 2), np.uint8))
KNOWN = SimpleNamespace(
    fujimi_models=_named("fujimi_models", lambda: [VIT]),
    fujimi_generators=_named("fujimi_generators", lambda: [FRACTAL]),
)


def test_capture_is_asked_with_job_model_and_ranks(job: Job, workload: Workload) -> None:
    def fujimi_capture(job: Job, model: Model, ranks: int) -> Workload | None:
        return workload if (job.name, model, ranks) == ("tiny", VIT, 8) else None

    plugins = asking(("known", KNOWN), ("train", plugin(fujimi_capture)))
    assert plugins.capture(job, 8) is workload
    with pytest.raises(PluginError, match="pip install fujimi-train, or give a workload file"):
        plugins.capture(job, 9)


def test_capture_without_what_captures_says_so_and_not_that_the_model_is_unknown(job: Job) -> None:
    with pytest.raises(PluginError, match="no installed plugin captures jobs: pip install fujimi-train"):
        asking().capture(job, 8)


def test_capture_of_a_job_that_names_what_nobody_offers_is_refused(job: Job) -> None:
    def fujimi_capture() -> None:
        return None

    train = ("train", plugin(fujimi_capture))
    models = SimpleNamespace(fujimi_models=KNOWN.fujimi_models)
    generators = SimpleNamespace(fujimi_generators=KNOWN.fujimi_generators)
    with pytest.raises(JobError, match=r"Unknown generator: 'fractal'"):
        asking(("models", models), train).capture(job, 8)
    with pytest.raises(JobError, match=r"Unknown model: 'vit-tiny'"):
        asking(("generators", generators), train).capture(job, 8)


def test_capture_of_a_job_of_tokens_needs_no_generator(job: Job, workload: Workload) -> None:
    def fujimi_capture() -> Workload | None:
        return workload

    plugins = asking(("models", SimpleNamespace(fujimi_models=KNOWN.fujimi_models)), ("train", plugin(fujimi_capture)))
    tokens = DataSpec(family="tokens", sequence=8, vocabulary=100)
    assert plugins.capture(replace(job, data=tokens), 8) is workload


def test_ranks_are_placed_by_the_first_plugin_that_does_not_decline(machine: Machine) -> None:
    def fujimi_place_ranks(mesh: Mesh, nodes: int) -> Placement | None:  # a hook takes the arguments that it needs
        return fill_nodes(np.arange(nodes), ranks_per_node=mesh.world_size // nodes)

    def decline(mesh: Mesh) -> None:
        return None

    placing = plugin(fujimi_place_ranks)
    declining = SimpleNamespace(fujimi_place_ranks=_named("fujimi_place_ranks", decline))
    topology: Any = None
    for order in ([("p", placing), ("d", declining)], [("d", declining), ("p", placing)]):
        placement = asking(*order).place_ranks(Mesh.of(dp=4), machine, topology, 2)
        assert placement.nodes.tolist() == [0, 0, 1, 1]
    with pytest.raises(PluginError, match="no installed plugin places ranks: pip install fujimi-sim"):
        asking(("d", declining)).place_ranks(Mesh.of(dp=4), machine, topology, 2)


@pytest.mark.parametrize("answer", [None, "ring", "tree"])
def test_algorithm_is_one_of_the_names_or_nobody_minds(machine: Machine, answer: str | None) -> None:
    def fujimi_choose_collective(
        collective: Collective, members: int, machine: Machine, names: Sequence[str]
    ) -> str | None:
        return answer

    plugins = asking(("choose", plugin(fujimi_choose_collective)))
    assert plugins.choose_collective(BARRIER, 4, machine, ["ring", "tree"]) == answer


def test_algorithm_that_was_not_among_the_names_is_refused(machine: Machine) -> None:
    def fujimi_choose_collective(names: Sequence[str]) -> str | None:
        return "rign"

    plugins = asking(("choose", plugin(fujimi_choose_collective)))
    with pytest.raises(PluginError, match=r"Unknown algorithm: 'rign'\. Known: ring, tree\. Did you mean 'ring'\?"):
        plugins.choose_collective(BARRIER, 4, machine, ["ring", "tree"])


def test_seconds_of_a_kernel_come_from_the_plugin_asked_last_registered_first(machine: Machine) -> None:
    def fujimi_kernel_seconds(kernel: Kernel, device: Device) -> float | None:
        return kernel.flops / device.peak_flops_per_s[kernel.dtype]

    def measured(kernel: Kernel, device: Device) -> float | None:
        return 1.0 if kernel.op == "aten.mm" else None

    better = SimpleNamespace(fujimi_kernel_seconds=_named("fujimi_kernel_seconds", measured))
    device = machine.node.device
    assert asking(("roofline", plugin(fujimi_kernel_seconds))).kernel_seconds(KERNEL, device) == 1e-11
    assert asking(("r", plugin(fujimi_kernel_seconds)), ("b", better)).kernel_seconds(KERNEL, device) == 1.0
    with pytest.raises(PluginError, match=r"knows how long aten\.mm takes: pip install fujimi-sim"):
        asking().kernel_seconds(KERNEL, device)


def test_zero_seconds_are_an_answer(machine: Machine) -> None:
    def fujimi_kernel_seconds(kernel: Kernel) -> float | None:
        return 0.0

    assert asking(("free", plugin(fujimi_kernel_seconds))).kernel_seconds(KERNEL, machine.node.device) == 0.0


def test_decision_that_fails_names_the_plugin_and_how_to_leave_it_out(machine: Machine) -> None:
    def fujimi_kernel_seconds(kernel: Kernel) -> float | None:
        raise ZeroDivisionError("no beads")

    with pytest.raises(PluginError) as refused:
        asking(("acme", plugin(fujimi_kernel_seconds))).kernel_seconds(KERNEL, machine.node.device)
    assert str(refused.value) == (
        "plugin 'acme': fujimi_kernel_seconds failed: ZeroDivisionError: no beads; "
        "leave it out with FUJIMI_DISABLE_PLUGINS=acme"
    )
    assert isinstance(refused.value.__cause__, ZeroDivisionError)


def test_decision_that_refuses_for_a_reason_is_passed_on_as_it_is(job: Job) -> None:
    def fujimi_capture(job: Job, ranks: int) -> Workload | None:
        raise WorkloadError("this job cannot be captured")

    with pytest.raises(WorkloadError, match=r"^this job cannot be captured$"):
        asking(("known", KNOWN), ("train", plugin(fujimi_capture))).capture(job, 1)


# notifications


def test_everybody_hears_of_every_event(job: Job) -> None:
    heard: list[object] = []

    def fujimi_run_started(event: RunStarted) -> None:
        heard.append(event)

    def fujimi_step_finished(event: StepFinished) -> None:
        heard.append(event)

    def fujimi_checkpoint_saved(event: CheckpointSaved) -> None:
        heard.append(event)

    def fujimi_step_rejected(event: StepRejected) -> None:
        heard.append(event)

    def fujimi_run_finished(event: RunFinished) -> None:
        heard.append(event)

    listener = plugin(
        fujimi_run_started, fujimi_step_finished, fujimi_step_rejected, fujimi_checkpoint_saved, fujimi_run_finished
    )
    plugins = asking(("one", listener), ("two", plugin(fujimi_run_finished)))
    started = RunStarted(job=job, **STARTED)
    step = StepFinished(step=1, loss=2.3, step_s=0.1, samples_per_s=640, fraction_of_peak=0.3, learning_rate=1e-3)
    saved = CheckpointSaved(step=1, path=Path("runs"))
    rejected = StepRejected(step=2, reason="the loss is nan at step 2")
    finished = RunFinished(steps=1, seconds=0.1, final_loss=2.3)
    plugins.run_started(started)
    plugins.step_finished(step)
    plugins.step_rejected(rejected)
    plugins.checkpoint_saved(saved)
    plugins.run_finished(finished)
    assert heard == [started, step, rejected, saved, finished, finished]


def test_listener_that_fails_stops_neither_the_run_nor_the_others(job: Job, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    def fujimi_run_started(event: RunStarted) -> None:
        heard.append(event)

    def fail(event: RunStarted) -> None:
        raise OSError("disk full")

    failing = SimpleNamespace(fujimi_run_started=_named("fujimi_run_started", fail))
    plugins = asking(("good", plugin(fujimi_run_started)), ("bad", failing))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            plugins.run_started(RunStarted(job=job, **STARTED))
    assert len(heard) == 3
    assert problem(plugins, "bad") == "fujimi_run_started failed: OSError: disk full"
    assert len(caplog.records) == 1  # said once, not at every step


# broken offers

OFFERS = {
    "fujimi_machines": Plugins.machines,
    "fujimi_topologies": Plugins.topologies,
    "fujimi_collectives": Plugins.collectives,
    "fujimi_generators": Plugins.generators,
    "fujimi_models": Plugins.models,
    "fujimi_commands": Plugins.commands,
}


@pytest.mark.parametrize(("hook", "collect"), OFFERS.items(), ids=list(OFFERS))
@pytest.mark.parametrize("returned", [RuntimeError("out of beads"), None, 5, [None], ["name"]])
def test_offer_that_fails_or_is_nothing_of_the_kind_is_recorded(
    hook: str, collect: Callable[[Plugins], dict[str, Any]], returned: object
) -> None:
    def function() -> Any:
        if isinstance(returned, Exception):
            raise returned
        return returned

    bad = SimpleNamespace(**{hook: _named(hook, function)})
    plugins = asking(("bad", bad))
    assert collect(plugins) == {}
    assert problem(plugins, "bad").startswith(f"{hook} failed: ")
    with pytest.raises(PluginError, match=f"plugin 'bad': {hook} failed: "):
        collect(asking(("bad", bad), strict=True))


def test_other_plugins_work_beside_a_broken_one(machine: Machine) -> None:
    def fujimi_machines() -> Sequence[Machine]:
        return [machine]

    plugins = asking(("good", plugin(fujimi_machines)), ("bad", broken("fujimi_machines")))
    assert plugins.machines() == {"toy": machine}
    assert problem(plugins, "good") == ""
    assert problem(plugins, "bad") == "fujimi_machines failed: RuntimeError: out of beads"


def test_name_that_two_plugins_offer_stays_with_the_one_asked_first_and_the_rest_is_kept(machine: Machine) -> None:
    def fujimi_machines() -> Sequence[Machine]:
        return [replace(machine, title="another"), replace(machine, name="spare")]

    def first() -> Sequence[Machine]:
        return [machine]

    asked_last = plugin(fujimi_machines)
    asked_first = SimpleNamespace(fujimi_machines=_named("fujimi_machines", first))
    plugins = asking(("b", asked_last), ("a", asked_first))
    assert plugins.machine("toy").title == "A toy"
    assert set(plugins.machines()) == {"toy", "spare"}
    assert problem(plugins, "b") == "fujimi_machines: 'toy' is offered by plugin 'a' already"
    with pytest.raises(PluginError, match="plugin 'b': fujimi_machines: 'toy' is offered by plugin 'a' already"):
        asking(("b", asked_last), ("a", asked_first), strict=True).machines()


# plugins that cannot be registered


def test_hook_that_does_not_exist_is_refused_by_its_name(machine: Machine) -> None:
    def fujimi_machine() -> Sequence[Machine]:
        return [machine]

    plugins = Plugins()
    with pytest.raises(PluginError, match="plugin 'acme': unknown hook 'fujimi_machine'"):
        plugins.register(plugin(fujimi_machine), "acme")
    assert plugins.infos() == []
    plugins.register(SimpleNamespace(), "acme")  # the name is free again, and others are not blamed


def test_argument_that_a_hook_does_not_have_is_refused_by_its_name() -> None:
    def fujimi_kernel_seconds(kernel: Kernel, gpu: Device) -> float | None:
        return None

    with pytest.raises(PluginError, match=r"plugin 'acme': .*fujimi_kernel_seconds(.|\n)*gpu"):
        Plugins().register(plugin(fujimi_kernel_seconds), "acme")


def test_name_can_be_registered_once() -> None:
    plugins = asking(("acme", SimpleNamespace()))
    with pytest.raises(PluginError, match="plugin 'acme': the name is taken"):
        plugins.register(SimpleNamespace(), "acme")


def test_machine_of_a_file_is_named_by_its_path(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(machine_toml(replace(machine, sources={"nodes": "a", "node": "b", "network": "c"})))
    assert Plugins().machine(str(path)).node == machine.node
    with pytest.raises(MachineError, match=r"other\.toml"):
        Plugins().machine(str(tmp_path / "other.toml"))
