import contextlib
import json
import math
import os
import signal
from types import SimpleNamespace

import pytest
import torch
from fujimi_core.errors import JobError, RunError
from fujimi_core.mesh import Mesh
from fujimi_parallel.axes import Axes
from fujimi_parallel.checkpoint import Checkpoint, Part, whole
from fujimi_parallel.world import World
from fujimi_train import checkpoint, loop
from fujimi_train.data import next_batch, open_loader
from fujimi_train.loop import Trained, train
from fujimi_train.plugin import hookimpl
from fujimi_train.program import Program
from fujimi_train.watch import RunLog

pytestmark = pytest.mark.usefixtures("dataset", "quick_peak")


class Listener:
    """Hears everything; after some steps it does what it was told to."""

    def __init__(self, after=None):
        self.heard = []
        self.after = after or {}

    @hookimpl
    def fujimi_run_started(self, event):
        self.heard.append(event)

    @hookimpl
    def fujimi_step_finished(self, event):
        self.heard.append(event)
        self.after.get(event.step, lambda: None)()

    @hookimpl
    def fujimi_step_rejected(self, event):
        self.heard.append(event)

    @hookimpl
    def fujimi_checkpoint_saved(self, event):
        self.heard.append(event)

    @hookimpl
    def fujimi_run_finished(self, event):
        self.heard.append(event)

    def kinds(self):
        return [type(event).__name__ for event in self.heard]

    def only(self, kind):
        return [event for event in self.heard if type(event).__name__ == kind]


@pytest.fixture
def listener(plugins):
    listener = Listener()
    plugins.register(listener, "listener")
    return listener


def interrupt():
    raise KeyboardInterrupt


def last_state(job):
    """All tensors of the newest checkpoint, and what else it remembers."""
    saved = Checkpoint(checkpoint.newest(checkpoint.directory_of(job)))
    return {name: saved.read(Part.of(name, saved.shape(name))) for name in saved.names()}, saved.step, saved.info


def same_bits(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def trained_by_hand(job, model, batches):
    """Tensors after steps on these batches, by number; a step whose batch is None has no update."""
    program = Program(job, model, World(rank=0, mesh=Mesh.of(dp=1)), device=torch.device("cpu"))
    for number, batch in enumerate(batches):
        if batch is not None:
            with open_loader(job, reader=0, readers=1, first_step=batch) as loader:
                program.step(number, *map(torch.from_numpy, next_batch(loader, job)))
    return {piece.name: piece.values.detach().flatten() for piece in program.pieces}


def parameters(job):
    found, _, _ = last_state(job)
    return {name.removeprefix("model/"): found[name] for name in found if name.startswith("model/")}


@pytest.fixture
def spoil(monkeypatch):
    """Lets a step have another loss when it is done for the first time."""

    def spoil(losses):
        gradients = Program.gradients

        def spoiled(self, number, *arguments, **keywords):
            summary = gradients(self, number, *arguments, **keywords)
            summary[0] = losses.pop(number, summary[0])
            return summary

        monkeypatch.setattr(Program, "gradients", spoiled)

    return spoil


def test_run_that_was_stopped_goes_on_to_the_same_bits_and_the_same_log(make_job, make_plugins, read_log):
    keys = {"train": {"checkpoint_every": 2, "steps": 8}, "model": {"drop_path": 0.2}}
    whole, halves = make_job("whole", **keys), make_job("halves", **keys)
    with RunLog(checkpoint.directory_of(whole)) as log:
        assert train(whole, make_plugins(log)) == Trained(steps=8, steps_done=8)
    a_step_after_a_checkpoint = Listener({5: interrupt})
    with RunLog(checkpoint.directory_of(halves)) as log, pytest.raises(KeyboardInterrupt):
        train(halves, make_plugins(log, a_step_after_a_checkpoint))
    saved = checkpoint.steps_saved(checkpoint.directory_of(halves))
    assert saved in (2, 4)  # the second of which was perhaps being written when the run ended
    with RunLog(checkpoint.directory_of(halves)) as log:
        assert train(halves, make_plugins(log)) == Trained(steps=8 - saved, steps_done=8)

    (expected, _, _), (found, _, _) = last_state(whole), last_state(halves)
    assert {name.partition("/")[0] for name in expected} == {"model", "optimizer"}
    assert same_bits(expected, found)
    losses = {step: entry["loss"] for step, entry in read_log(checkpoint.directory_of(whole)).items()}
    assert list(losses) == list(range(1, 9))
    assert losses == {step: entry["loss"] for step, entry in read_log(checkpoint.directory_of(halves)).items()}


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signal_saves_the_step_and_the_same_command_goes_on_to_the_same_bits(make_job, make_plugins, name):
    keys = {"train": {"steps": 6}, "model": {"drop_path": 0.2}}
    at_once, stopped = make_job("at_once", **keys), make_job("stopped", **keys)
    train(at_once, make_plugins())
    listener = Listener({3: lambda: os.kill(os.getpid(), signal.Signals[name])})
    # it came when the third step was over
    assert train(stopped, make_plugins(listener)) == Trained(steps=4, steps_done=4, stopped_by=name)
    assert listener.kinds()[-2:] == ["StepFinished", "CheckpointSaved"]
    assert listener.only("CheckpointSaved")[0].step == 4
    assert train(stopped, make_plugins()) == Trained(steps=2, steps_done=6)
    assert same_bits(last_state(at_once)[0], last_state(stopped)[0])


def test_job_that_is_done_is_not_run_again_and_nobody_hears_of_it(make_job, plugins, listener):
    assert train(make_job(), plugins) == Trained(steps=6, steps_done=6)
    listener.heard.clear()
    assert train(make_job(), plugins) == Trained(steps=0, steps_done=6)
    assert listener.heard == []


def test_everybody_hears_of_a_run_in_the_order_in_which_it_happens(make_job, plugins, listener):
    job = make_job(train={"steps": 3, "checkpoint_every": 2})
    train(job, plugins)
    # a checkpoint is written while the next step goes on, which finds it on disk or not
    saved, rest = listener.kinds().index("CheckpointSaved"), listener.kinds()
    assert saved in (3, 4)
    del rest[saved]
    assert rest == ["RunStarted", "StepFinished", "StepFinished", "StepFinished", "CheckpointSaved", "RunFinished"]
    started, finished = listener.heard[0], listener.heard[-1]
    assert (started.job, started.ranks, started.first_step) == (job, 1, 0)
    assert started.peak_flops_per_s > 1e8
    assert (finished.steps, finished.final_loss) == (3, listener.only("StepFinished")[-1].loss)
    assert [event.step for event in listener.only("CheckpointSaved")] == [2, 3]
    assert listener.only("CheckpointSaved")[-1].path.exists()


def test_so_many_checkpoints_are_kept_as_the_job_says(make_job, plugins, listener):
    job = make_job(train={"steps": 5, "checkpoint_every": 1, "keep_checkpoints": 3})
    train(job, plugins)
    assert [event.step for event in listener.only("CheckpointSaved")] == [1, 2, 3, 4, 5]
    assert [Checkpoint(path).step for path in whole(checkpoint.directory_of(job))] == [3, 4, 5]


@pytest.mark.parametrize(
    ("stability", "loss", "fault"),
    [
        ({"on_nan": "skip"}, math.nan, "the loss is nan at step 4; its update is left out (1 of 5 in a row)"),
        (
            {"on_spike": "skip", "spike_factor": 5, "spike_window": 4},
            100.0,
            "at step 4; its update is left out (1 of 5 in a row)",
        ),
    ],
)
def test_bad_step_is_skipped_if_the_job_says_so(make_job, plugins, listener, tiny, spoil, stability, loss, fault):
    job = make_job(stability=stability, train={"steps": 6})
    expected = trained_by_hand(job, tiny, [0, 1, 2, None, 4, 5])
    spoil({3: loss})
    assert train(job, plugins) == Trained(steps=6, steps_done=6)
    assert same_bits(parameters(job), expected)
    (rejected,) = listener.only("StepRejected")
    assert rejected.step == 4
    assert fault in rejected.reason
    assert [event.step for event in listener.only("StepFinished")] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize(
    ("stability", "loss"),
    [({"on_nan": "rollback"}, math.inf), ({"on_spike": "rollback", "spike_factor": 5, "spike_window": 4}, 100.0)],
)
def test_bad_step_goes_back_to_the_last_checkpoint_and_past_the_batches_if_the_job_says_so(
    make_job, plugins, listener, tiny, spoil, stability, loss
):
    job = make_job(stability=stability, train={"steps": 7, "checkpoint_every": 2})
    expected = trained_by_hand(job, tiny, [0, 1, 2, 3, 6, 7, 8])
    spoil({5: loss})
    assert train(job, plugins) == Trained(steps=7, steps_done=7)
    found, steps_done, info = last_state(job)
    assert steps_done == 7
    assert info["stability"]["passed_over"] == [[4, 5]]
    assert same_bits(parameters(job), expected)
    (rejected,) = listener.only("StepRejected")
    assert "at step 6; back to step 4, and past batches 4 to 5" in rejected.reason
    assert [event.step for event in listener.only("StepFinished")] == [1, 2, 3, 4, 5, 5, 6, 7]
    assert {found[name].item() for name in found if name.endswith("/step")} == {7.0}


def test_run_that_is_stopped_after_a_rollback_keeps_to_its_batches(make_job, make_plugins, tiny, spoil):
    job = make_job(stability={"on_nan": "rollback"}, train={"steps": 7, "checkpoint_every": 2})
    expected = trained_by_hand(job, tiny, [0, 1, 4, 5, 6, 7, 8])
    spoil({3: math.nan})
    with pytest.raises(KeyboardInterrupt):
        train(job, make_plugins(Listener({5: interrupt})))
    saved = checkpoint.steps_saved(checkpoint.directory_of(job))
    assert saved in (2, 4)
    assert train(job, make_plugins()) == Trained(steps=7 - saved, steps_done=7)
    assert same_bits(parameters(job), expected)


def test_rejected_steps_are_in_the_log(make_job, make_plugins, spoil):
    job = make_job(stability={"on_nan": "skip"})
    spoil({1: math.nan})
    directory = checkpoint.directory_of(job)
    with RunLog(directory) as log:
        train(job, make_plugins(log))
    entries = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    (rejected,) = [entry for entry in entries if "rejected" in entry]
    assert rejected["step"] == 2
    assert rejected["rejected"].startswith("the loss is nan at step 2; its update is left out")


def test_run_whose_steps_are_all_bad_ends_when_it_has_tried_enough(make_job, plugins, listener, spoil):
    job = make_job(stability={"on_nan": "skip", "tries": 2})
    spoil(dict.fromkeys(range(6), math.nan))
    with pytest.raises(RunError, match="the loss is nan at step 3, and so was each of the 2 steps before"):
        train(job, plugins)
    assert [event.step for event in listener.only("StepRejected")] == [1, 2]


@pytest.mark.parametrize(("given", "meant"), [(7.0, 7.0), (0.0, loop._NEVER_S)])
def test_rank_may_stand_still_for_as_long_as_the_job_says(make_job, plugins, monkeypatch, given, meant):
    seen = []
    watchdog = loop.Watchdog

    def watched(world, *, limit_s):
        seen.append(limit_s)
        return watchdog(world, limit_s=limit_s)

    monkeypatch.setattr(loop, "Watchdog", watched)
    train(make_job(train={"hang_limit_s": given}), plugins)
    assert seen == [meant]


def test_each_step_tells_speed_and_share_of_the_peak(make_job, plugins, listener):
    train(make_job(), plugins)
    for step in listener.only("StepFinished"):
        assert step.samples_per_s == pytest.approx(4 / step.step_s)
        assert 0 < step.fraction_of_peak < 1.5
    assert listener.only("StepFinished")[0].learning_rate == 0.01


def test_precision_that_is_left_open_is_decided_before_anybody_hears(make_job, plugins, listener):
    train(make_job(parallel={"precision": "auto"}), plugins)
    assert listener.heard[0].job.parallel.precision in ("float32", "bfloat16")


def test_loss_that_is_no_number_ends_the_run_with_step_and_way_out(make_job, plugins):
    job = make_job(optimizer={"learning_rate": 1e30})
    with pytest.raises(RunError, match=r"the loss is nan at step 2; lower optimizer.learning_rate.*another name"):
        train(job, plugins)
    assert whole(checkpoint.directory_of(job)) == []


@pytest.mark.parametrize(
    ("rate", "message"),
    [(1e30, "the loss is nan at step 4"), (float("inf"), r"not all of \w[\w.]* are finite numbers at step 4")],
)
def test_training_that_diverges_leaves_the_last_good_checkpoint(make_job, plugins, monkeypatch, rate, message):
    bad_step = 2 if rate == 1e30 else 3
    monkeypatch.setattr(Program, "rate", lambda self, number: rate if number == bad_step else 0.01)
    job = make_job(train={"checkpoint_every": 2})
    with pytest.raises(RunError, match=message):
        train(job, plugins)
    _, steps_done, _ = last_state(job)
    assert steps_done == 2
    assert all(tensor.isfinite().all() for tensor in parameters(job).values())


def test_network_that_nobody_offers_is_refused_with_a_suggestion(make_job, plugins):
    with pytest.raises(JobError, match=r"Unknown model: 'vit_tini'.*Did you mean 'vit_tiny'"):
        train(make_job(model={"name": "vit_tini"}), plugins)


def test_batch_that_does_not_divide_is_refused_before_anything_is_built(make_job, plugins, monkeypatch):
    @contextlib.contextmanager
    def join(backend, *, timeout_s):
        yield World(rank=0, mesh=Mesh.of(dp=3), captured=True)  # there are no others that could be watched

    monkeypatch.setattr(loop, "join", join)
    job = make_job(train={"global_batch": 8, "batch_per_rank": None})
    with pytest.raises(JobError, match=r"global_batch 8 does not divide into 3 \S+ ranks; use a multiple of 3"):
        train(job, plugins)


@pytest.mark.parametrize(("named", "given"), [("auto", None), ("gloo", "gloo"), ("mpi", "mpi")])
def test_job_names_what_carries_messages(make_job, plugins, monkeypatch, named, given):
    seen = []

    @contextlib.contextmanager
    def join(backend, *, timeout_s):
        seen.append(backend)
        yield World(rank=0, mesh=Mesh.of(dp=1))

    monkeypatch.setattr(loop, "join", join)
    train(make_job(train={"steps": 1}, parallel={"backend": named}), plugins)
    assert seen == [given]


def test_ranks_that_see_different_checkpoints_are_refused(make_job, make_plugins, monkeypatch):
    job = make_job(train={"steps": 4})
    train(job, make_plugins())
    of_another_rank = torch.tensor([0, 0])
    monkeypatch.setattr(Axes, "everybody", lambda axes: SimpleNamespace())
    monkeypatch.setattr(
        loop.dist, "all_reduce", lambda mine, *, op, group: mine.copy_(torch.maximum(mine, of_another_rank))
    )
    with pytest.raises(RunError, match=r"rank 0 goes on after step 4, others after steps 0 to 4; put train.out"):
        train(job, make_plugins())
