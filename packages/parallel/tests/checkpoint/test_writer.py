import contextlib
import os
import random
import resource
import signal
import sys
import threading
import time

import pytest
import torch
from fujimi_core.errors import RunError
from fujimi_parallel.checkpoint import writer as writing
from fujimi_parallel.checkpoint.directory import newest
from fujimi_parallel.checkpoint.parts import Part
from fujimi_parallel.checkpoint.reader import Checkpoint
from fujimi_parallel.checkpoint.writer import Writer

RANKS = 3
NUMEL = 1000


def parts_of(rank, step):
    """A third of a tensor that says which step it is of; the last rank is a replica that saves nothing."""
    if rank == RANKS - 1:
        return []
    part = Part.of("w", (NUMEL,)).share(rank, RANKS - 1)
    return [(part, torch.full((part.numel,), step))]


def writers_of(directory, keep=1):
    return [Writer(directory, rank=rank, ranks=RANKS, keep=keep) for rank in range(RANKS)]


def save(writers, step):
    for rank, writer in enumerate(writers):
        writer.start(step, parts_of(rank, step), {"step": step})
    for writer in writers:
        writer.wait()
    return writers[0].commit()


def require_whole(directory, steps):
    """The newest checkpoint is of one of these steps, and so is every element of it."""
    checkpoint = Checkpoint(newest(directory))
    step = checkpoint.info["step"]
    assert step in steps
    assert checkpoint.step == step
    assert checkpoint.read(Part.of("w", (NUMEL,))).tolist() == [step] * NUMEL
    return step


@contextlib.contextmanager
def held_up(monkeypatch):
    """No file is written before the event is set."""
    go, write = threading.Event(), writing.write

    def wait_and_write(*arguments, **others):
        assert go.wait(10)
        return write(*arguments, **others)

    monkeypatch.setattr(writing, "write", wait_and_write)
    yield go
    go.set()


def test_training_goes_on_while_a_copy_is_written(tmp_path, monkeypatch):
    writer = Writer(tmp_path, rank=0, ranks=1, keep=1)
    weight = torch.ones(4)
    with held_up(monkeypatch) as go:
        writer.start(1, [(Part.of("w", (4,)), weight)], {})
        weight.add_(1)
        assert not writer.done()
        go.set()
        writer.wait()
    assert writer.done()
    assert Checkpoint(writer.commit()).read(Part.of("w", (4,))).tolist() == [1.0] * 4


def test_information_is_that_of_the_moment_of_the_start(tmp_path):
    writer = Writer(tmp_path, rank=0, ranks=1, keep=1)
    info = {"seen": [1]}
    writer.start(1, [(Part.of("w", ()), torch.tensor(1))], info)
    info["seen"].append(2)
    writer.wait()
    assert Checkpoint(writer.commit()).info == {"seen": [1]}


def test_second_start_is_refused_while_the_first_goes_on(tmp_path, monkeypatch):
    writer = Writer(tmp_path, rank=0, ranks=1, keep=1)
    with held_up(monkeypatch):
        writer.start(1, [(Part.of("w", ()), torch.tensor(1))], {})
        with pytest.raises(RuntimeError, match="step 1 is still being written; wait for it before step 2 starts"):
            writer.start(2, [], {})
        with pytest.raises(ValueError, match="nothing to commit"):
            writer.commit()


def test_checkpoint_is_not_there_before_the_commit(tmp_path):
    writers = writers_of(tmp_path)
    save(writers, 1)
    for rank, writer in enumerate(writers):
        writer.start(2, parts_of(rank, 2), {"step": 2})
        writer.wait()
    require_whole(tmp_path, {1})
    writers[0].commit()
    require_whole(tmp_path, {2})


def test_rank_that_holds_nothing_writes_nothing(tmp_path):
    path = save(writers_of(tmp_path), 1)
    names = ["index.safetensors", "manifest.json", "rank-000000.safetensors", "rank-000001.safetensors"]
    assert sorted(file.name for file in path.iterdir()) == names


def test_rank_that_cannot_write_says_so_and_the_last_checkpoint_stays(tmp_path):
    """The limit of a file's size stands in for a full disk."""
    writers = writers_of(tmp_path)
    save(writers, 1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        writers[1].start(2, parts_of(1, 2), {})
        with pytest.raises(
            RunError, match=r"cannot write .*step-00000002.partial/rank-000001.safetensors: File too large"
        ):
            writers[1].wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list((tmp_path / "step-00000002.partial").iterdir())
    require_whole(tmp_path, {1})
    save(writers, 3)
    require_whole(tmp_path, {3})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000003"]


def test_failure_that_nobody_asked_for_surfaces_at_the_next_start(tmp_path):
    (tmp_path / "file").write_text("in the way")
    writer = Writer(tmp_path / "file", rank=0, ranks=1, keep=1)
    writer.start(1, [], {})
    while True:
        with contextlib.suppress(RuntimeError):  # it goes on
            with pytest.raises(RunError, match=r"cannot write .*rank-000000.safetensors: .*Not a directory"):
                writer.start(2, [], {})
            break
    assert writer.done()
    with pytest.raises(ValueError, match="nothing to commit"):
        writer.commit()


def test_commit_without_all_elements_is_refused(tmp_path):
    """As where each node has a directory of its own under the same name."""
    writers = writers_of(tmp_path)
    save(writers, 1)
    writers[0].start(2, parts_of(0, 2), {})
    writers[0].wait()
    with pytest.raises(
        RunError, match=r"has 500 of the 1,000 elements of w; all ranks must write to the same file system"
    ):
        writers[0].commit()
    require_whole(tmp_path, {1})


@pytest.mark.parametrize(
    ("part", "tensor"),
    [
        (Part.of("w", (NUMEL,)), torch.zeros(NUMEL)),
        (Part.of("w", (NUMEL, 1)), torch.zeros(NUMEL, dtype=torch.int64)),
    ],
)
def test_ranks_that_contradict_each_other_are_refused(tmp_path, part, tensor):
    writers = writers_of(tmp_path)
    for rank, writer in enumerate(writers):
        writer.start(1, parts_of(rank, 1) or [(part, tensor)], {})
        writer.wait()
    with pytest.raises(
        RunError, match=r"rank-000002.safetensors has w as .*, other ranks as torch.int64 of shape \(1000,\)"
    ):
        writers[0].commit()


def test_commit_that_cannot_write_leaves_the_last_checkpoint(tmp_path, monkeypatch):
    writers = writers_of(tmp_path)
    save(writers, 1)

    def full(path):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr("fujimi_parallel.checkpoint.directory.sync_directory", full)
        with pytest.raises(RunError, match=r"cannot commit the checkpoint of step 2 in .*No space left on device"):
            save(writers, 2)
    require_whole(tmp_path, {1})
    save(writers, 2)
    require_whole(tmp_path, {2})


def test_files_of_a_killed_run_with_other_ranks_do_not_get_in(tmp_path):
    """It had more ranks, of which the third held something, and its step is saved again."""
    for rank in range(RANKS + 2):
        before = Writer(tmp_path, rank=rank, ranks=RANKS + 2, keep=1)
        before.start(5, [(Part.of("old", (RANKS + 2,)).share(rank, RANKS + 2), torch.zeros(1))], {})
        before.wait()
    assert Checkpoint(save(writers_of(tmp_path), 5)).names() == ["w"]


def test_leftovers_are_removed_and_whole_checkpoints_are_not(tmp_path):
    path = save(writers_of(tmp_path), 1)
    for name in ("step-00000007.partial", "step-00000001.old.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rank-000000.safetensors").write_text("half")
    (tmp_path / "log.txt").write_text("not ours")
    writers_of(tmp_path)[0].start(8, parts_of(0, 8), {})
    while (tmp_path / "step-00000007.partial").exists():
        time.sleep(0.01)
    assert path.exists()
    assert sorted(each.name for each in tmp_path.iterdir())[:2] == ["log.txt", "step-00000001"]


@pytest.mark.parametrize(("rank", "ranks", "keep"), [(3, 3, 1), (-1, 3, 1), (0, 1, 0)])
def test_writer_that_makes_no_sense_is_refused(tmp_path, rank, ranks, keep):
    with pytest.raises(ValueError, match=r"ranks count from 0|at least 1 checkpoint"):
        Writer(tmp_path, rank=rank, ranks=ranks, keep=keep)


def test_tensor_that_does_not_fit_its_part_is_refused(tmp_path):
    writer = Writer(tmp_path, rank=0, ranks=1, keep=1)
    with pytest.raises(ValueError, match=r"a tensor of 5 elements for w\[0:4\]\[0:4\], which has 4"):
        writer.start(1, [(Part.of("w", (4,)), torch.zeros(5))], {})


def test_part_that_comes_twice_is_refused(tmp_path):
    part = Part.of("w", (4,)), torch.zeros(4)
    with pytest.raises(ValueError, match=r"rank 0 saves w\[0:4\]\[0:4\] twice"):
        Writer(tmp_path, rank=0, ranks=1, keep=1).start(1, [part, part], {})


def test_only_rank_0_commits_and_once(tmp_path):
    writers = writers_of(tmp_path)
    save(writers, 1)
    for writer in writers:
        with pytest.raises(ValueError, match="nothing to commit: rank 0 commits, once"):
            writer.commit()


# Processes that are killed; that threads do not live on in a fork, of which Python 3.12 warns, is the point here
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def child(work):
    """Run in a process of its own, which never returns."""
    process = os.fork()
    if process:
        return process
    try:
        work()
    finally:
        os._exit(0)


def killed_at(directory, count, steps):
    """Save steps in a process that kills itself at the so-manyth time that it touches the file system.

    Returns:
        Whether it was killed.
    """

    def work():
        left = [count]

        def touch(event, arguments):
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir"):
                left[0] -= 1
                if left[0] < 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        writers = writers_of(directory)
        sys.addaudithook(touch)
        for step in steps:
            save(writers, step)

    _, status = os.waitpid(child(work), 0)
    return os.WIFSIGNALED(status)


@pytest.fixture
def quick_disk(monkeypatch):
    """What a killed process has written is there, on disk or not; only a power failure would need it on disk."""
    monkeypatch.setattr("os.fsync", lambda file: None)


@forks
@pytest.mark.parametrize("steps", [(2, 2), (2, 1)], ids=["again", "back"])
def test_kill_at_any_operation_leaves_a_whole_checkpoint_to_go_on_from(tmp_path, quick_disk, steps):
    """Of the step before, of the one being saved, or of one that was saved on the way, never a mixture."""
    found, count = [], 0
    while True:
        directory = tmp_path / str(count)
        save(writers_of(directory), 1)
        if not killed_at(directory, count, steps):
            break
        found.append(require_whole(directory, {1, *steps}))
        save(writers_of(directory), 9)
        require_whole(directory, {9})
        assert [path.name for path in directory.iterdir()] == ["step-00000009"]
        count += 1
    assert count > 40
    assert {found[0], found[-1]} == {1, steps[-1]}


@forks
@pytest.mark.parametrize("seed", range(6))
def test_kill_of_any_rank_at_any_time_leaves_the_last_checkpoint(tmp_path, quick_disk, seed):
    """Ranks that save one step after the other agree over pipes; one is killed, the others wait for it in vain."""
    chance = random.Random(seed)
    save(writers_of(tmp_path), 1)
    to_ranks, from_ranks = [os.pipe() for _ in range(RANKS)], [os.pipe() for _ in range(RANKS)]

    def rank_work(rank):
        writer = Writer(tmp_path, rank=rank, ranks=RANKS, keep=1)
        step = 1
        while True:
            step += 1
            writer.start(step, parts_of(rank, step), {"step": step})
            writer.wait()
            if rank == 0:
                for pipe, _ in from_ranks[1:]:
                    os.read(pipe, 1)
                writer.commit()
                for _, pipe in to_ranks[1:]:
                    os.write(pipe, b".")
            else:
                os.write(from_ranks[rank][1], b".")
                os.read(to_ranks[rank][0], 1)

    processes = [child(lambda rank=rank: rank_work(rank)) for rank in range(RANKS)]
    time.sleep(chance.uniform(0.05, 0.4))
    victim = chance.choice(processes)
    os.kill(victim, signal.SIGKILL)
    time.sleep(0.05)
    for process in processes:
        if process != victim:
            os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    for pipe in [end for pair in to_ranks + from_ranks for end in pair]:
        os.close(pipe)
    step = require_whole(tmp_path, range(1, 10**9))
    save(writers_of(tmp_path), step + 1)
    require_whole(tmp_path, {step + 1})
