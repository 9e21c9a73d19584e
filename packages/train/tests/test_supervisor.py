import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fujimi_core.errors import JobError, RunError
from fujimi_train import supervisor
from fujimi_train.supervisor import Reached, last_logged_step, launcher, require_no_launcher, supervise, this_program

#: A run of one rank that ends with a code of the list at each try, and may leave a process behind in its own session.
TRIES = """
import subprocess, sys
from pathlib import Path
directory, codes = Path(sys.argv[1]), sys.argv[2].split(",")
tries = directory / "tries"
number = len(tries.read_text()) if tries.exists() else 0
tries.write_text("x" * (number + 1))
stopped = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
if len(sys.argv) > 3:
    left = subprocess.Popen([sys.executable, "-c", stopped], start_new_session=True, stdout=subprocess.PIPE)
    left.stdout.readline()
    (directory / "left").write_text(str(left.pid))
sys.exit(int(codes[number]))
"""
#: Supervises ranks that say when they are asked to stop, as `StopSignals` understands it.
SUPERVISED = """
import os, sys, time
from pathlib import Path
from fujimi_train.signals import StopSignals
from fujimi_train.supervisor import Reached, launcher, supervise
_, directory, stubborn = sys.argv
rank = '''
import os, sys, time
from pathlib import Path
from fujimi_train.signals import StopSignals
with StopSignals() as signals:
    Path(sys.argv[1], os.environ["PMI_RANK"] + ".ready").write_text(str(os.getpid()))
    while not signals.stop_asked or sys.argv[2] == "stubborn":
        if signals.stop_asked:
            Path(sys.argv[1], os.environ["PMI_RANK"] + ".heard").write_text("and stays")
        time.sleep(0.02)
Path(sys.argv[1], os.environ["PMI_RANK"] + ".stopped").write_text(signals.asked_by)
sys.exit(5)
'''
command = [sys.executable, "-c", rank, directory, stubborn]
sys.exit(supervise(launcher(2), command, restarts=3, reached=lambda: Reached(saved=0, step=0)))
"""


@pytest.fixture
def run_tries(tmp_path):
    """Supervises a run whose tries end with these codes; returns the exit code and the number of tries."""

    def run(codes, *, restarts, reached, leave=()):
        command = [sys.executable, "-c", TRIES, str(tmp_path), ",".join(map(str, codes)), *leave]
        code = supervise(command[:1], command[1:], restarts=restarts, reached=reached)
        return code, len((tmp_path / "tries").read_text())

    return run


def steps(*reached):
    """Tells another progress each time it is asked: saved and last step."""
    left = iter(reached)
    return lambda: Reached(**dict(zip(("saved", "step"), next(left), strict=True)))


def test_run_that_ends_well_is_started_once(run_tries, capfd):
    assert run_tries([0], restarts=3, reached=steps()) == (0, 1)
    assert capfd.readouterr() == ("", "")


def test_run_that_fails_is_started_again_and_says_why_and_from_where(run_tries, capfd):
    assert run_tries([9, 1, 0], restarts=3, reached=steps((0, 7), (120, 133))) == (0, 3)
    assert capfd.readouterr().err.splitlines() == [
        "fujimi: restart 1 of 3 after exit code 9 (as after SIGKILL); begins anew, as no checkpoint was written",
        "fujimi: restart 2 of 3 after exit code 1; goes on after step 120",
    ]


def test_exit_code_is_that_of_the_last_try_when_no_restart_is_left(run_tries, capfd):
    assert run_tries([1, 3], restarts=1, reached=steps((0, 7), (0, 9))) == (3, 2)
    assert capfd.readouterr().err.splitlines()[-1] == "fujimi: exit code 3; no restart of 1 is left"


def test_run_that_may_not_be_restarted_fails_silently(run_tries, capfd):
    assert run_tries([1], restarts=0, reached=steps((0, 7))) == (1, 1)
    assert capfd.readouterr().err == ""


def test_wrong_request_is_not_tried_again(run_tries):
    assert run_tries([2], restarts=3, reached=steps()) == (2, 1)


def test_fault_that_comes_back_at_the_same_step_from_the_same_checkpoint_is_not_tried_a_third_time(run_tries, capfd):
    assert run_tries([1, 1], restarts=9, reached=steps((120, 133), (120, 133))) == (1, 2)
    assert capfd.readouterr().err.splitlines()[-1] == (
        "fujimi: exit code 1 after step 133, as the time before: the same fault; not started again"
    )


def test_fault_at_another_step_from_the_same_checkpoint_is_an_accident(run_tries):
    assert run_tries([1, 1, 0], restarts=9, reached=steps((120, 133), (120, 140))) == (0, 3)


def test_nothing_of_a_failed_try_lives_on_even_in_another_session_and_deaf_to_sigterm(run_tries, monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "_GRACE_S", 0.2)
    assert run_tries([1], restarts=0, reached=steps((0, 0)), leave=["leave"]) == (1, 1)
    assert not alive(int((tmp_path / "left").read_text()))


def test_next_try_does_not_begin_while_a_process_of_the_last_cannot_be_ended(run_tries, monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "_GRACE_S", 0.1)
    kill = supervisor._kill
    monkeypatch.setattr(supervisor, "_kill", lambda processes, number: None)
    with pytest.raises(RunError, match=r"processes \d+ of a failed try outlive SIGKILL, .* leave it out"):
        run_tries([1, 0], restarts=1, reached=steps((0, 0)), leave=["leave"])
    kill([int((tmp_path / "left").read_text())], signal.SIGKILL)
    assert (tmp_path / "tries").read_text() == "x"


def test_launcher_that_a_signal_ended_gives_the_code_a_shell_would():
    command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
    assert supervise(command[:1], command[1:], restarts=0, reached=steps((0, 0))) == 137


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def supervised(tmp_path):
    """Starts two ranks that wait for a signal, below a supervisor, and ends it at last."""
    running = []

    def start(stubborn="no"):
        command = [sys.executable, "-c", SUPERVISED, str(tmp_path), stubborn]
        running.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        wait_for(tmp_path, "*.ready")
        return running[0]

    yield start
    for each in running:
        each.kill()
        each.communicate()
    for path in tmp_path.glob("*.ready"):
        if alive(int(path.read_text())):
            os.kill(int(path.read_text()), signal.SIGKILL)


def wait_for(directory, pattern, number=2):
    end = time.monotonic() + 30
    while len(found := [path for path in directory.glob(pattern) if path.read_text()]) < number:
        assert time.monotonic() < end, f"{len(found)} of {number} {pattern}"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_signal_asks_all_ranks_to_stop_and_a_run_that_was_asked_to_is_not_started_again(supervised, tmp_path, number):
    process = supervised()
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 5
    assert "restart" not in err
    assert [(tmp_path / f"{rank}.stopped").read_text() for rank in range(2)] == ["SIGUSR1"] * 2


def test_second_interrupt_ends_ranks_that_do_not_stop(supervised, tmp_path):
    process = supervised("stubborn")
    process.send_signal(signal.SIGINT)
    wait_for(tmp_path, "*.heard")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 137
    assert "restart" not in err
    assert not any(alive(int(path.read_text())) for path in tmp_path.glob("*.ready"))


def test_mpiexec_beside_python_is_taken(mpiexec):
    assert launcher(4) == [mpiexec, "-n", "4"]


def test_missing_mpiexec_is_answered_with_a_way_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor.sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(JobError, match=r"there is no mpiexec, .*pip install mpich.*--launcher 'srun"):
        launcher(4)


def test_launcher_of_the_user_gets_the_number_of_ranks():
    assert launcher(4, "env A='b c' -n{ranks}") == ["env", "A=b c", "-n4"]


@pytest.mark.parametrize(
    ("ranks", "template", "message"),
    [
        (0, None, "--ranks 0: at least 1 is needed"),
        (4, "env -n 4", "write {ranks} where their number belongs"),
        (4, "sruhn -n {ranks}", "there is no program 'sruhn'; give its path"),
    ],
)
def test_launcher_that_cannot_be_is_refused(ranks, template, message):
    with pytest.raises(JobError, match=message):
        launcher(ranks, template)


def test_supervisor_inside_of_a_launcher_is_refused():
    require_no_launcher({})
    with pytest.raises(JobError, match=r"already rank 1 of 4 of a launcher; leave the launcher away"):
        require_no_launcher({"PMI_RANK": "1", "PMI_SIZE": "4"})


def test_torchrun_gets_the_signal_that_it_passes_on():
    assert supervisor._stop_signal("/usr/bin/torchrun") is signal.SIGTERM
    assert supervisor._stop_signal("/usr/bin/mpiexec") is signal.SIGUSR1


def test_this_program_runs_in_the_same_python():
    done = subprocess.run(this_program(["--help"]), capture_output=True, text=True, check=True)
    assert "usage: fujimi" in done.stdout


def test_last_step_is_read_from_a_log_that_was_cut_off(tmp_path):
    log = tmp_path / "log.jsonl"
    assert last_logged_step(log) == 0
    lines = [json.dumps({"step": step, "loss": 1.0}) for step in range(1, 9)]
    log.write_text("\n".join([*lines, json.dumps({"step": 8, "checkpoint": "x"}), '{"step": 9, "lo']))
    assert last_logged_step(log) == 8


def test_last_step_of_a_long_log_is_read_from_its_end(monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "_LOG_TAIL_NBYTES", 50)
    log = tmp_path / "log.jsonl"
    log.write_text("".join(f'{{"step": {step}}}\n' for step in range(1000)))
    assert last_logged_step(log) == 999
