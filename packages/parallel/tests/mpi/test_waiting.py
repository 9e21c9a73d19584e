import mmap
import multiprocessing
import threading
import time

import pytest
from fujimi_parallel.mpi import waiting
from fujimi_parallel.mpi.waiting import SharedCounter


def counter_in(memory):
    return SharedCounter(memoryview(memory)[:128], fence=lambda: None, own_core=False)


@pytest.fixture(params=["futex", "naps"])
def counter(request, monkeypatch):
    if request.param == "naps":  # of systems whose futex we do not know
        monkeypatch.setattr(waiting, "_FUTEX", None)
    memory = mmap.mmap(-1, mmap.PAGESIZE)
    made = counter_in(memory)
    yield made
    made.release()


def test_counter_that_is_there_already_is_not_waited_for(counter):
    counter.set(3)
    assert counter.reached(3)
    assert counter.wait(2, timeout_s=0.0, given_up=lambda: False)


def test_sleeper_is_woken(counter):
    threading.Timer(0.1, lambda: counter.set(1)).start()
    assert counter.wait(1, timeout_s=60.0, given_up=lambda: False)


def test_sleeper_in_another_process_is_woken():
    memory = mmap.mmap(-1, mmap.PAGESIZE)  # shared with a child that is forked
    asked, answered = counter_in(memory), counter_in(memoryview(memory)[1024:])
    child = multiprocessing.get_context("fork").Process(
        target=lambda: asked.wait(1, timeout_s=60.0, given_up=lambda: False) and answered.set(7)
    )
    child.start()
    time.sleep(0.1)
    asked.set(1)
    assert answered.wait(7, timeout_s=60.0, given_up=lambda: False)
    child.join()


def test_wait_ends_after_the_timeout(counter):
    assert not counter.wait(1, timeout_s=0.01, given_up=lambda: False)


def test_wait_ends_when_the_caller_gives_up(counter):
    started = time.monotonic()
    assert not counter.wait(1, timeout_s=60.0, given_up=lambda: time.monotonic() > started + 0.05)
