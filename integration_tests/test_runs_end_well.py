"""Runs that stop, fail or are killed, and what goes on from their checkpoints."""

import collections
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from fujimi_core.cli import main
from fujimi_core.job import from_table, to_toml
from fujimi_data.order import batch_indices
from fujimi_parallel.checkpoint import Checkpoint, Part, newest
from safetensors.torch import load_file

PROGRAM = Path(__file__).with_name("ending_ranks.py")
PROGRAMS = Path(sys.executable).parent
BATCH, SEQUENCE, WINDOWS, STEPS, SAVED = 8, 16, 64, 4, 2

#: Plans, and how many ranks each runs on.
PLANS = {
    "single": (1, {}),
    "zero-1-offload": (2, {"zero": 1, "offload": "optimizer"}),
    "zero-3": (2, {"zero": 3}),
    "1f1b": (2, {"pipeline": 2, "microbatch": 2, "recompute": "full"}),
    "zero-bubble": (2, {"pipeline": 2, "microbatch": 2, "schedule": "zero-bubble"}),
    "sequence": (2, {"sequence": 2, "accumulate": 2}),
    "interleaved-zero-2": (4, {"pipeline": 2, "virtual_stages": 2, "schedule": "interleaved", "zero": 2}),
    "tensor-zero-3-offload": (4, {"tensor": 2, "zero": 3, "offload": "all", "placement": ["tp", "dp", "pp", "sp"]}),
}
#: How far apart in that list plans stand that are tried together; all pairs take three minutes: range(len(PLANS)).
APART = (0, 1, 3)
ALL_TOGETHER = {"pipeline": 2, "tensor": 2, "zero": 3}
#: Sums in another order: a few units in the last of 24 bits, times some amplification by AdamW.
OTHER_ORDER = 5e-6
#: Long enough for a busy machine.
HANG_LIMIT_S = 6.0
#: A busy machine may take that long to kill; the rank that sleeps would stay for 600 seconds.
AT_ONCE_S = 30.0
_TIMEOUT_S = 170


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A file of tokens that nothing can be learned from, with room for jobs and runs."""
    folder = tmp_path_factory.mktemp("ends")
    write_tokens(folder / "data.u16", np.random.default_rng(3).integers(30, size=(WINDOWS, SEQUENCE)))
    return folder


def write_tokens(path, windows):
    """Write windows of which each begins with token 0, so that none knows which one follows."""
    windows = np.array(windows)
    windows[:, 0] = 0
    np.append(windows, 0).astype("<u2").tofile(path)


@pytest.fixture(scope="module")
def make_job(folder):
    """Writes a job of the tiny GPT; keywords replace keys of the sections."""

    def make(name, **sections):
        table = {
            "name": "run",
            "model": {"name": "tiny_gpt"},
            "data": {"path": str(folder / "data.u16"), "family": "tokens", "sequence": SEQUENCE, "vocabulary": 32},
            "train": {"steps": STEPS, "global_batch": BATCH, "out": str(folder / name)},
            "optimizer": {"learning_rate": 0.01, "clip_norm": 1.0},
            "parallel": {"precision": "float32"},
        }
        for section, keys in sections.items():
            table[section] = {**table.get(section, {}), **keys}
        path = folder / f"{name}.toml"
        path.write_text(to_toml(from_table(table)))
        (folder / name).mkdir(exist_ok=True)
        return path

    return make


def start(words, *, ranks=1, launcher=None, **fault):
    """Start commands of the helper program on so many ranks; keywords are of a `Fault`."""
    command = [sys.executable, str(PROGRAM), *map(str, words)]
    if launcher is None:
        launcher = [str(PROGRAMS / "mpiexec"), "-n", str(ranks)] if ranks > 1 else []
    environ = {**os.environ, "OMP_NUM_THREADS": "1", **({"FAULT": json.dumps(fault)} if fault else {})}
    return subprocess.Popen(
        [*launcher, *command],
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environ,
        start_new_session=True,
    )


def ended(process):
    """Wait for a process; returns exit code and what it said."""
    try:
        _, said = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return process.returncode, said


def train(*jobs, **keywords):
    """Train jobs one after the other in the same processes; keywords are of `start`."""
    return ended(start([word for job in jobs for word in ("--", "train", job)], **keywords))


def wait_for(path):
    wait_until(path.exists, within_s=_TIMEOUT_S)


def wait_until(happened, *, within_s):
    end = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.01)


def ranks_left(once):
    """Processes whose fault makes this file."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if os.fsencode(once) in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def signals_wait(pid):
    """Whether a signal came to a process that has not had time to handle it; another of its kind would be lost."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return any(int(line.split()[1], 16) for line in lines if line.startswith(("SigPnd:", "ShdPnd:")))


def entries(run):
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def losses(run):
    return {entry["step"]: entry["loss"] for entry in entries(run) if "loss" in entry}


def windows_read(run):
    """Samples that the ranks of a run read, by number of the batch."""
    found = collections.defaultdict(set)
    for file in run.parent.glob("*.batches"):
        for line in file.read_text().splitlines():
            number, windows = json.loads(line)
            found[number].update(map(tuple, windows))
    return dict(found)


def tensors(path):
    """All that a checkpoint holds, whole."""
    checkpoint = Checkpoint(path)
    return {
        name: checkpoint.read(Part.of(name, checkpoint.shape(name))).view(checkpoint.shape(name))
        for name in checkpoint.names()
    }


def same_bits(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def errors(said):
    return [line for line in said.splitlines() if line.startswith("fujimi: error: ")]


def in_groups(names):
    """Names of plans by number of ranks."""
    groups = collections.defaultdict(list)
    for name in names:
        groups[PLANS[name][0]].append(name)
    return groups.items()


@pytest.fixture(scope="module")
def unbroken(make_job, folder):
    """Runs from begin to end, with a checkpoint on the way; directories by plan, with dropped paths too."""
    for ranks, names in in_groups(PLANS):
        jobs = []
        for name in names:
            keys = {"parallel": PLANS[name][1], "train": {"checkpoint_every": SAVED}}
            jobs += [make_job(name, **keys), make_job(f"{name}-drop", **keys, model={"drop_path": 0.5})]
        code, said = train(*jobs, ranks=ranks)
        assert code == 0, said
    return {name: folder / name / "run" for plan in PLANS for name in (plan, f"{plan}-drop")}


def plans_before(after):
    """Plans whose checkpoints a plan goes on from."""
    plans = list(PLANS)
    return [plans[plans.index(after) - apart] for apart in APART]


def test_any_plan_goes_on_from_the_checkpoint_of_any_other(unbroken, make_job, folder):
    for ranks, names in in_groups(PLANS):
        jobs = []
        for name in names:
            for before in [*plans_before(name), f"{name}-drop"]:
                model = {"drop_path": 0.5 if before.endswith("-drop") else 0.0}
                jobs.append(make_job(f"{before}+{name}", parallel=PLANS[name][1], model=model))
                saved = f"run/step-{SAVED:08d}"
                shutil.copytree(folder / before / saved, folder / f"{before}+{name}" / saved)
        code, said = train(*jobs, ranks=ranks)
        assert code == 0, said
    expected, read = losses(unbroken["single"]), windows_read(unbroken["single"])
    for after in PLANS:
        for before in plans_before(after):
            run = folder / f"{before}+{after}" / "run"
            assert windows_read(run) == {number: read[number] for number in range(SAVED, STEPS)}
            assert losses(run) == pytest.approx({step: expected[step] for step in (3, 4)}, rel=OTHER_ORDER)
    for plan in PLANS:
        for name in (plan, f"{plan}-drop"):
            assert same_bits(tensors(newest(folder / f"{name}+{plan}" / "run")), tensors(newest(unbroken[name])))
        assert losses(unbroken[plan])[1] != losses(unbroken[f"{plan}-drop"])[1]


def test_exported_parameters_of_all_kinds_of_sharding_are_those_of_a_single_process(unbroken, make_job, folder):
    code, said = train(make_job("all", parallel=ALL_TOGETHER), ranks=8)
    assert code == 0, said
    out = folder / "model.safetensors"
    assert main(["checkpoint", "export", str(folder / "all" / "run"), "--out", str(out)]) == 0
    single = tensors(newest(unbroken["single"]))
    found = load_file(out)
    assert {f"model/{name}" for name in found} == {name for name in single if name.startswith("model/")}
    for name, parameter in found.items():
        # AdamW makes steps of the usual length even of gradients that are nothing but rounding, as those of key biases
        matters = single[f"optimizer/{name}/exp_avg_sq"].sqrt() > 1e-7
        assert matters.float().mean() > 0.6, name
        expected = single[f"model/{name}"]
        assert parameter.shape == expected.shape
        torch.testing.assert_close(parameter[matters], expected[matters], rtol=1e-3, atol=1e-4)


def test_run_with_a_full_disk_and_asked_to_stop_twice_still_comes_to_the_same_bits(make_job, folder):
    keys = {"parallel": {"zero": 1}, "train": {"steps": 9, "checkpoint_every": 2}}
    job, whole = make_job("interrupted", **keys), make_job("whole", **keys)
    run, once = folder / "interrupted" / "run", folder / "asked"
    code, said = train(job, ranks=2, rank=1, batch=3, most_bytes=5000)
    assert code == 1
    (message,) = errors(said)
    assert message.startswith(
        f"fujimi: error: rank 1: cannot write {run}/step-00000004.partial/rank-000001.safetensors"
    )
    assert "File too large" in message
    assert newest(run).name == "step-00000002"
    tensors(newest(run))

    code, said = train(job, ranks=2, rank=1, batch=4, signal="SIGTERM")
    assert (code, errors(said)) == (0, [])
    assert f"run: stopped by another rank's signal after step 5 of 9, which is kept in {run}" in said
    assert newest(run).name == "step-00000005"

    process = start(["train", job], ranks=2, rank=0, batch=6, sleep_s=2.0, once=str(once))
    wait_for(once)
    process.send_signal(signal.SIGUSR1)
    code, said = ended(process)
    assert (code, errors(said)) == (0, [])
    assert "run: stopped by SIGUSR1 after step 7 of 9" in said
    assert newest(run).name == "step-00000007"

    code, said = train(job, whole, ranks=2)
    assert code == 0, said
    assert same_bits(tensors(newest(run)), tensors(newest(folder / "whole" / "run")))
    assert losses(run) == losses(folder / "whole" / "run")


@pytest.mark.parametrize("ranks", [1, 2])
def test_second_interrupt_ends_a_run_at_once(make_job, folder, ranks):
    once, job = folder / f"interrupted-once-{ranks}", make_job(f"twice-{ranks}")
    process = start(["train", job], ranks=ranks, rank=0, batch=2, once=str(once))
    wait_for(once)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: not signals_wait(process.pid), within_s=AT_ONCE_S)
    time.sleep(0.5)
    assert len(ranks_left(once)) >= ranks
    process.send_signal(signal.SIGINT)
    code, said = ended(process)
    # MPICH 5.0.2's mpiexec tells its proxies to kill the ranks and ends before they have, with 1 or, on a busy
    # machine, with 0
    wait_until(lambda: not ranks_left(once), within_s=AT_ONCE_S)
    assert ranks > 1 or code == -signal.SIGINT, said
    run = folder / f"twice-{ranks}" / "run"
    assert list(losses(run)) == [1, 2]
    assert newest(run) is None


def test_rank_that_hangs_is_named_once_and_all_ranks_end(make_job):
    job = make_job("asleep", train={"hang_limit_s": HANG_LIMIT_S}, parallel={"pipeline": 2})
    code, said = train(job, ranks=2, rank=1, batch=2)
    assert code == 1
    (message,) = errors(said)
    assert message.startswith("fujimi: error: rank 1 (pid ")
    assert "hangs: " in message
    assert "'reading a batch' after step 2" in message


def test_stopped_rank_is_named_once_and_the_run_goes_on_by_itself(make_job, unbroken, folder):
    job = make_job(
        "stopped",
        train={"hang_limit_s": HANG_LIMIT_S, "checkpoint_every": SAVED},
        parallel=PLANS["zero-1-offload"][1],
    )
    fault = {"rank": 1, "batch": 3, "signal": "SIGSTOP", "once": str(folder / "stopped-once")}
    code, said = ended(start(["train", job, "--ranks", 2, "--restarts", 1], **fault))
    assert code == 0, said
    (message,) = errors(said)
    assert message.startswith("fujimi: error: rank 1 (pid ")
    assert "is silent for" in message
    assert "restart 1 of 1 after exit code" in said
    assert same_bits(tensors(newest(folder / "stopped" / "run")), tensors(newest(unbroken["zero-1-offload"])))


BAD = 3  # batch that is ill


@pytest.fixture(scope="module")
def bad_jobs(make_job, folder):
    """Jobs whose data make them ill, and those that they must equal; a function of a word for their names."""
    random = np.random.default_rng(5)
    windows = random.integers(30, size=(WINDOWS, SEQUENCE))
    ill, moved = windows.copy(), windows.copy()
    ill[in_batch(BAD)[5], 3] = 31  # POISON
    for number in (2, 3, 4, 5):
        moved[in_batch(number)] = windows[in_batch(number + 2)]
    easy = np.broadcast_to(np.arange(SEQUENCE), (WINDOWS, SEQUENCE)).copy()
    jumping = easy.copy()
    jumping[in_batch(BAD)] = random.integers(30, size=(BATCH, SEQUENCE))
    data = {"ill": ill, "moved": moved, "jumping": jumping, "easy": easy}
    for name, content in data.items():
        write_tokens(folder / f"{name}.u16", content)

    def make(word):
        def job(name, data, *, every=2, **stability):
            train = {"steps": 6, "checkpoint_every": every, "keep_checkpoints": 10}
            path = {"path": str(folder / f"{data}.u16")}
            fast = {"learning_rate": 0.03}
            return make_job(f"{word}-{name}", data=path, train=train, stability=stability, optimizer=fast)

        return [
            job("moved", "moved"),
            job("easy", "easy"),
            job("rollback", "ill", on_nan="rollback"),
            job("skip", "ill", on_nan="skip", every=1),
            job("spike", "jumping", on_spike="rollback", spike_factor=1.2, spike_window=4),
            job("stop", "ill", on_nan="stop"),
        ]

    return make


def in_batch(number):
    return batch_indices(samples=WINDOWS, seed=0, step=number, global_batch=BATCH)


def rejected(run):
    return [(entry["step"], entry["rejected"]) for entry in entries(run) if "rejected" in entry]


@pytest.mark.parametrize("ranks", [1, 2])
def test_bad_steps_are_left_out_or_gone_back_behind_or_end_the_run(bad_jobs, folder, ranks):
    code, said = train(*bad_jobs(f"bad-{ranks}"), ranks=ranks)
    assert code == 1
    moved, easy, rollback, skip, spike, stop = (
        folder / f"bad-{ranks}-{name}" / "run" for name in ("moved", "easy", "rollback", "skip", "spike", "stop")
    )
    back = "the loss is nan at step 4; back to step 2, and past batches 2 to 3 (1 of 5 times from there)"
    assert rejected(rollback) == [(4, back)]
    assert same_bits(tensors(newest(rollback)), tensors(newest(moved)))

    assert rejected(skip) == [(4, "the loss is nan at step 4; its update is left out (1 of 5 in a row)")]
    assert list(losses(skip)) == [1, 2, 3, 5, 6]
    before, after = (tensors(skip / f"step-{number:08d}") for number in (3, 4))
    assert same_bits(before, after)

    ((step, reason),) = rejected(spike)
    assert step == 4
    assert "above 1.2 times the usual" in reason
    assert same_bits(tensors(newest(spike)), tensors(newest(easy)))

    (message,) = errors(said)
    assert "training diverged: the loss is nan at step 4; lower optimizer.learning_rate" in message
    assert newest(stop).name == "step-00000002"


def test_torchrun_starts_ranks_as_well(bad_jobs, folder):
    moved, _, rollback, *_ = bad_jobs("torchrun")
    torchrun = [str(PROGRAMS / "torchrun"), "--nproc-per-node", "2", "--no-python"]
    code, said = train(moved, ranks=2)
    assert code == 0, said
    code, said = train(rollback, launcher=torchrun)
    assert code == 0, said
    assert "run: 6 steps on 2 rank(s)" in said
    # over gloo here and MPI there: a sum of two has only one order
    same = [tensors(newest(folder / f"torchrun-{name}" / "run")) for name in ("moved", "rollback")]
    assert same_bits(*same)
