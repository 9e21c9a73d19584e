import contextlib

import pytest
import torch
from fujimi_core.errors import JobError, RunError
from fujimi_core.mesh import Mesh
from fujimi_parallel.world import World
from fujimi_train import checkpoint, loop
from fujimi_train.loop import train
from fujimi_train.plugin import hookimpl
from fujimi_train.program import Program
from fujimi_train.watch import RunLog

pytestmark = pytest.mark.usefixtures("dataset", "quick_peak")


class Listener:
    """Hears everything, and stops the run after a step if told to, as Ctrl-C would."""

    def __init__(self, stop_after=None):
        self.heard = []
        self.stop_after = stop_after

    @hookimpl
    def fujimi_run_started(self, event):
        self.heard.append(event)

    @hookimpl
    def fujimi_step_finished(self, event):
        self.heard.append(event)
        if event.step == self.stop_after:
            raise KeyboardInterrupt

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


def last_state(job):
    return checkpoint.load(checkpoint.newest(checkpoint.directory_of(job)))


def same_bits(first, second):
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same_bits(first[key], second[key]) for key in first)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(map(same_bits, first, second))
    return torch.equal(first, second) if isinstance(first, torch.Tensor) else first == second


def test_run_that_was_stopped_goes_on_to_the_same_bits_and_the_same_log(make_job, make_plugins, read_log):
    keys = {"train": {"checkpoint_every": 2, "steps": 8}, "model": {"drop_path": 0.2}}
    whole, halves = make_job("whole", **keys), make_job("halves", **keys)
    with RunLog(checkpoint.directory_of(whole)) as log:
        assert train(whole, make_plugins(log)) == 8
    a_step_after_the_checkpoint = Listener(stop_after=5)
    with RunLog(checkpoint.directory_of(halves)) as log, pytest.raises(KeyboardInterrupt):
        train(halves, make_plugins(log, a_step_after_the_checkpoint))
    with RunLog(checkpoint.directory_of(halves)) as log:
        assert train(halves, make_plugins(log)) == 4

    expected, found = last_state(whole), last_state(halves)
    assert same_bits(expected["model"], found["model"])
    assert same_bits(expected["optimizer"], found["optimizer"])
    losses = {step: entry["loss"] for step, entry in read_log(checkpoint.directory_of(whole)).items()}
    assert list(losses) == list(range(1, 9))
    assert losses == {step: entry["loss"] for step, entry in read_log(checkpoint.directory_of(halves)).items()}


def test_job_that_is_done_is_not_run_again_and_nobody_hears_of_it(make_job, plugins, listener):
    assert train(make_job(), plugins) == 6
    listener.heard.clear()
    assert train(make_job(), plugins) == 0
    assert listener.heard == []


def test_everybody_hears_of_a_run_in_the_order_in_which_it_happens(make_job, plugins, listener):
    job = make_job(train={"steps": 3, "checkpoint_every": 2})
    train(job, plugins)
    assert listener.kinds() == [
        "RunStarted",
        "StepFinished",
        "StepFinished",
        "CheckpointSaved",
        "StepFinished",
        "CheckpointSaved",
        "RunFinished",
    ]
    started, finished = listener.heard[0], listener.heard[-1]
    assert (started.job, started.ranks, started.first_step) == (job, 1, 0)
    assert started.peak_flops_per_s > 1e8
    assert (finished.steps, finished.final_loss) == (3, listener.only("StepFinished")[-1].loss)
    assert [event.step for event in listener.only("CheckpointSaved")] == [2, 3]
    assert listener.only("CheckpointSaved")[-1].path.exists()


def test_each_step_tells_speed_and_share_of_the_peak(make_job, plugins, listener):
    train(make_job(), plugins)
    for step in listener.only("StepFinished"):
        assert step.samples_per_s == pytest.approx(4 / step.step_s)
        assert 0 < step.fraction_of_peak < 1.5
    assert listener.only("StepFinished")[0].learning_rate == 0.01


def test_precision_that_is_left_open_is_decided_before_anybody_hears(make_job, plugins, listener):
    train(make_job(train={"precision": "auto"}), plugins)
    assert listener.heard[0].job.train.precision in ("float32", "bfloat16")


def test_loss_that_is_no_number_ends_the_run_with_step_and_way_out(make_job, plugins):
    job = make_job(optimizer={"learning_rate": 1e30})
    with pytest.raises(RunError, match=r"the loss is nan at step 2; lower optimizer.learning_rate.*another name"):
        train(job, plugins)
    assert not list(checkpoint.directory_of(job).glob("*.pt"))


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
    state = last_state(job)
    assert state["steps_done"] == 2
    assert all(tensor.isfinite().all() for tensor in state["model"].values())


def test_network_that_nobody_offers_is_refused_with_a_suggestion(make_job, plugins):
    with pytest.raises(JobError, match=r"Unknown model: 'vit_tini'.*Did you mean 'vit_tiny'"):
        train(make_job(model={"name": "vit_tini"}), plugins)


def test_batch_that_does_not_divide_is_refused_before_anything_is_built(make_job, plugins, monkeypatch):
    @contextlib.contextmanager
    def join():
        yield World(rank=0, mesh=Mesh.of(dp=3))

    monkeypatch.setattr(loop, "join", join)
    job = make_job(train={"global_batch": 8, "batch_per_rank": None})
    with pytest.raises(JobError, match="global_batch 8 does not divide into 3 ranks; use a multiple of 3"):
        train(job, plugins)


def test_ranks_that_see_different_checkpoints_are_refused(make_job, plugins, monkeypatch):
    monkeypatch.setattr(loop, "of_all_ranks", lambda number, world: [4, 4, 0])
    with pytest.raises(RunError, match=r"rank 0 goes on after step 4, rank 2 after step 0; put train.out"):
        train(make_job(), plugins)
