import os
import signal

import pytest
from fujimi_train.signals import STOPPING, StopSignals


@pytest.mark.parametrize("number", STOPPING)
def test_signal_asks_to_stop_instead_of_ending_the_process(number):
    with StopSignals() as signals:
        assert (signals.stop_asked, signals.asked_by) == (False, "")
        os.kill(os.getpid(), number)
        assert (signals.stop_asked, signals.asked_by) == (True, number.name)


def test_first_signal_is_the_one_that_is_named():
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.asked_by == "SIGUSR1"


def test_second_interrupt_interrupts_at_once():
    with StopSignals():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_handlers_are_what_they_were_afterwards():
    before = {each: signal.getsignal(each) for each in STOPPING}
    with StopSignals():
        os.kill(os.getpid(), signal.SIGINT)
    assert {each: signal.getsignal(each) for each in STOPPING} == before
