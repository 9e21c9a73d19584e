import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fujimi_core.mesh import Mesh
from fujimi_parallel import heartbeat, watchdog
from fujimi_parallel.heartbeat import Beat, Card
from fujimi_parallel.watchdog import Activity, Fault, Sight, Watchdog, fault_in, told_silent, turn_of
from fujimi_parallel.works import wait_for
from fujimi_parallel.world import World

ALONE = World(rank=0, mesh=Mesh.of(dp=1))
READING = Activity(what="reading a batch", since_s=0.0, limit_s=10.0, step=7)
WAITING = Activity(what="the sum of gradients", since_s=0.0, limit_s=20.0, waits=True, step=7)
BEAT = Beat(rank=3, step=7, still_s=2.0, what="reading a batch")

#: Ranks that train until one fails as it is told, in its seventh step.
RANKS = """
import contextlib, os, signal, sys, time
from pathlib import Path
import torch
import torch.distributed as dist
from fujimi_parallel.watchdog import Watchdog
from fujimi_parallel.world import join
_, directory, failure, rank, limit_s = sys.argv

def fail(dog):
    with dog.doing("the forward pass"):
        time.sleep(float(limit_s) / 4)  # time for a few heartbeats
        Path(directory, "failed").write_text(str(time.time()))
        if failure == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
    if failure == "read":
        with dog.doing("reading a batch"):
            time.sleep(60)
    if failure == "wait":
        with dog.waiting("a message that nobody sends"):
            dist.recv(torch.ones(1), src=0)
    if failure == "compute":
        with dog.waiting("the other ranks' part of the step"):
            time.sleep(60)

with join() as world:
    Path(directory, f"{world.rank}.pid").write_text(str(os.getpid()))
    with Watchdog(world, limit_s=float(limit_s)) as dog:
        for step in range(12):
            time.sleep(0.02)
            if step == 6 and world.rank == int(rank):
                fail(dog)
            with dog.waiting("the sum of gradients"):
                dist.all_reduce(torch.ones(1))
            dog.moved(step + 1)
        if failure == "none" and world.rank == 1:
            with dog.doing("what the others have done", limit_s=60.0):
                time.sleep(float(limit_s) + 1.5)  # it would miss rank 0 by then
sys.stdout.write(f"end of rank {world.rank}\\n")
"""


def seen(mine=READING, *, still_s=0.0, last=BEAT, silent_s=0.0):
    return Sight(mine=mine, still_s=still_s, last=last, silent_s=silent_s)


@pytest.mark.parametrize(
    ("sight", "fault"),
    [
        (seen(still_s=9.9, silent_s=9.9), None),
        (seen(still_s=10.1), Fault.STUCK),
        (seen(silent_s=10.1), Fault.SILENT),
        (seen(silent_s=10.1, still_s=10.1), Fault.SILENT),
        (seen(silent_s=99.0, last=None), None),
        (seen(WAITING, still_s=25.9), None),  # four turns are kept for the others, and 2 s for the last to end all
        (seen(WAITING, still_s=26.1), Fault.LEFT_WAITING),
        (seen(WAITING, still_s=26.1, silent_s=10.1), Fault.SILENT),
        (seen(replace(READING, limit_s=99.0), still_s=98.0), None),
    ],
)
def test_fault_is_what_exceeds_its_limit(sight, fault):
    assert fault_in(sight, limit_s=10.0, rank=0, ranks=15) is fault


@pytest.mark.parametrize("sight", [seen(still_s=12.9), seen(silent_s=12.9), seen(WAITING, still_s=28.9)])
def test_each_of_the_ranks_four_to_seven_lets_others_speak_for_three_turns(sight):
    assert fault_in(sight, limit_s=10.0, rank=4, ranks=15) is None
    later = replace(sight, still_s=sight.still_s + 0.2, silent_s=sight.silent_s + 0.2)
    assert fault_in(later, limit_s=10.0, rank=7, ranks=15)


@pytest.mark.parametrize("ranks", [2, 3, 48, 158_976])
def test_rank_that_is_left_waiting_speaks_after_all_who_could_know_why(ranks):
    sight = seen(WAITING, still_s=20.0 + turn_of(ranks - 1) + watchdog._ENDING_S)
    assert fault_in(sight, limit_s=10.0, rank=0, ranks=ranks) is None


def test_never_do_more_ranks_speak_at_once_than_had_their_turn_before():
    turns = [turn_of(rank) for rank in range(5000)]
    assert turns == sorted(turns)
    for turn in set(turns) - {0.0}:
        assert turns.count(turn) <= sum(each < turn for each in turns)


def test_silence_is_told_with_rank_process_step_and_what_was_last_heard():
    told = told_silent(BEAT, Card(host="node12", port=1, key=1, pid=345), silent_s=301.25)
    assert told.startswith("rank 3 (pid 345 on node12) is silent for 301.2 s: ")
    assert told.endswith("it was at 'reading a batch' after step 7 for 2.0 s")


def until(told, *, seconds=20.0):
    end = time.monotonic() + seconds
    while not told and time.monotonic() < end:
        time.sleep(0.01)
    return told


def test_rank_alone_notices_that_it_hangs_and_says_where():
    told = []
    with Watchdog(ALONE, limit_s=0.1, end=told.append) as dog:
        dog.moved(4)
        with dog.doing("reading a batch"):
            until(told)
    (message,) = told
    assert message.startswith(f"rank 0 (pid {os.getpid()} on ")
    assert re.search(
        r" hangs: for 0\.1 s it is at 'reading a batch' after step 4, in until \(test_watchdog\.py:", message
    )
    assert message.endswith("; all ranks end")


def test_rank_that_moves_is_left_alone_however_long_it_runs():
    told = []
    with Watchdog(ALONE, limit_s=1.0, end=told.append) as dog:
        for step in range(15):
            dog.moved(step)
            with dog.doing("reading a batch"):
                time.sleep(0.1)
    assert told == []


def test_long_pause_that_was_announced_is_no_fault_and_the_limit_holds_again_after_it():
    told = []
    with Watchdog(ALONE, limit_s=0.2, end=told.append) as dog:
        with dog.doing("writing a checkpoint", limit_s=60.0):
            time.sleep(0.5)
        assert told == []
        until(told)
    assert "at 'training' after step 0" in told[0]


def test_waiting_may_take_twice_the_limit(monkeypatch):
    monkeypatch.setattr(watchdog, "_ENDING_S", 0.0)
    told, start = [], time.monotonic()
    with Watchdog(ALONE, limit_s=0.3, end=told.append) as dog, dog.waiting("the sum of gradients"):
        wait_for(SimpleNamespace(wait=lambda: until(told)))
    assert time.monotonic() - start >= 0.6
    assert " waits in vain, and no rank says that it hangs; " in told[0]


def test_time_in_which_the_whole_process_was_stopped_does_not_count(monkeypatch):
    told, jump_s = [], [0.0]
    clock = time.monotonic
    monkeypatch.setattr(watchdog.time, "monotonic", lambda: clock() + jump_s[0])
    with Watchdog(ALONE, limit_s=1.0, end=told.append):
        time.sleep(0.1)
        jump_s[0] = 100.0
        time.sleep(0.3)
    assert told == []


def test_limit_must_be_above_zero():
    with pytest.raises(ValueError, match="limit_s is 0"):
        Watchdog(ALONE, limit_s=0)


def test_dry_run_that_stands_for_all_ranks_is_not_watched():
    before = threading.active_count()
    with Watchdog(World(rank=5, mesh=Mesh.of(dp=100_000), captured=True)) as dog:
        assert threading.active_count() == before
        with dog.waiting("the sum of gradients"):
            dog.moved(1)


def test_rank_whose_heartbeats_never_arrive_is_warned_about_but_not_taken_for_dead(monkeypatch, caplog):
    monkeypatch.setattr(watchdog, "_GREETING_S", 0.1)
    monkeypatch.setattr(heartbeat, "_GOODBYE_S", 0.1)
    deaf, told = Card(host="node7", port=9, key=1, pid=1), []
    world = World(rank=0, mesh=Mesh.of(dp=3), local_size=3)
    with Watchdog(world, limit_s=0.2, end=told.append, exchange=lambda *_: (deaf, deaf)) as dog:
        for step in range(8):
            dog.moved(step)
            time.sleep(0.05)
    assert told == []
    assert "no heartbeat of rank 2 on node7 reaches rank 0 on " in caplog.text


@pytest.fixture
def fail(tmp_path):
    """Runs three ranks, of which one fails; returns their output and after how many seconds the last was gone."""

    def run(failure, rank, *, limit_s):
        script = tmp_path / "ranks.py"
        script.write_text(RANKS)
        mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
        assert mpiexec, "the mpich wheel brings mpiexec; install the extra 'test'"
        command = [mpiexec, "-n", "3", sys.executable, str(script), str(tmp_path), failure, str(rank), str(limit_s)]
        environ = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)
        while any(alive(pid) for pid in processes(tmp_path)):  # mpiexec ends a moment before those it killed
            time.sleep(0.01)
        return done, time.time() - float((tmp_path / "failed").read_text())

    yield run
    for pid in processes(tmp_path):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def processes(directory):
    return [int(path.read_text()) for path in sorted(directory.glob("*.pid"))]


def alive(pid):
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.parametrize(
    ("failure", "rank", "limit_s", "within_s", "message"),
    [
        # the limit; rank 0 hears of rank 2, speaks at once, and takes 0.5 s to abort
        (
            "stop",
            2,
            1.5,
            2.0,
            r"rank 2 \(pid {2} on \S+\) is silent for 1\.\d s: .*'the forward pass' after step 6 for 0",
        ),
        # the limit, its turn (1 s), 1 s in which rank 0 might speak, 0.5 s to abort
        (
            "read",
            1,
            1.5,
            4.0,
            r"rank 1 \(pid {1} on .* hangs: .* at 'reading a batch' after step 6, in fail \(ranks\.py:",
        ),
        # twice the limit, its turn (1 s), 1 s in which rank 0 might speak, 0.5 s to abort
        (
            "compute",
            1,
            1.0,
            4.5,
            r"rank 1 \(pid {1} on .* hangs: .* at \"the other ranks' part of the step\" after step 6, in fail ",
        ),
        # twice the limit, the turn of rank 2 (2 s) and the 2 s it would need, 0.5 s to abort
        ("wait", 1, 1.0, 6.5, r"rank 0 \(pid {0} on .* waits in vain, .*'the sum of gradients' after step 6, in "),
    ],
)
def test_rank_that_fails_is_named_once_and_all_end_in_time(fail, tmp_path, failure, rank, limit_s, within_s, message):
    done, seconds = fail(failure, rank, limit_s=limit_s)
    assert done.returncode == 1
    assert done.stderr.count("fujimi: error: ") == 1
    for each, pid in enumerate(processes(tmp_path)):
        message = message.replace(f"{{{each}}}", str(pid))
    assert re.search(f"fujimi: error: {message}", done.stderr), done.stderr
    assert within_s - 0.5 - limit_s / 8 < seconds < within_s + 1.5  # for a machine that is busy


def test_process_without_a_launcher_that_aborts_ends_itself():
    program = (
        "import time; from test_watchdog import ALONE, Watchdog\nwith Watchdog(ALONE, limit_s=0.2): time.sleep(60)"
    )
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environ, timeout=30)
    assert done.returncode == 1
    assert re.fullmatch(r"fujimi: error: rank 0 .* hangs: .* in <module> \(<string>:2\); all ranks end\n", done.stderr)


def test_ranks_that_end_well_at_different_times_raise_no_alarm(fail, tmp_path):
    (tmp_path / "failed").write_text("0")
    done, _ = fail("none", 1, limit_s=1.0)
    assert (done.returncode, "fujimi" in done.stderr) == (0, False)
    assert sorted(done.stdout.split("\n")) == ["", "end of rank 0", "end of rank 1", "end of rank 2"]
