import torch
from fujimi_parallel.capture.memory import Alive, Kind, MemoryMeter
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.offload import Outside
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker


def train_two_steps(model, optimizer, after_first=lambda: None):
    for step in range(2):
        model(torch.randn(64, 256)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if step == 0:
            after_first()


def network():
    layers = [torch.nn.Sequential(torch.nn.Linear(256, 256), torch.nn.GELU()) for _ in range(4)]
    model = torch.nn.Sequential(*layers)
    return model, torch.optim.AdamW(model.parameters(), fused=True)


def test_storage_is_counted_once_and_forgotten_with_its_last_view():
    meter = MemoryMeter()
    tensor = torch.empty(100, dtype=torch.float32)
    meter.see([tensor, tensor.view(10, 10), tensor[3:]])
    assert meter.alive.total == 400
    view = tensor[:5]
    del tensor
    assert meter.alive.total == 400
    del view
    assert (meter.alive.total, meter.peak.total) == (0, 400)


def test_peak_of_two_training_steps_is_what_torchs_own_tracker_says():
    with FakeTensorMode():
        model, optimizer = network()
        tracker = MemTracker()
        tracker.track_external(model, optimizer)
        with tracker:
            train_two_steps(model, optimizer, tracker.reset_mod_stats)
        peak = next(iter(tracker.get_tracker_snapshot("peak").values()))
    expected = peak["Total"]
    with FakeTensorMode(), Recorder() as recorder:
        model, optimizer = network()
        train_two_steps(model, optimizer, recorder.restart)
    assert recorder.memory.peak.total == expected


def test_restart_forgets_the_peak_and_keeps_what_is_alive():
    meter = MemoryMeter()
    kept, gone = torch.empty(10), torch.empty(1000)
    meter.see([kept, gone])
    del gone
    meter.restart()
    assert meter.peak.total == meter.alive.total == 40


def test_storages_that_are_emptied_and_filled_again_are_followed():
    meter = MemoryMeter()
    tensor = torch.empty(100)
    meter.see(tensor)
    stop = meter.watch_resizes()
    tensor.untyped_storage().resize_(0)
    assert meter.alive.total == 0
    meter.restart()
    tensor.untyped_storage().resize_(800)
    assert (meter.alive.total, meter.peak.total) == (800, 800)
    torch.empty(7).untyped_storage().resize_(10**6)  # that nobody has shown to the meter
    assert meter.alive.total == 800
    stop()
    tensor.untyped_storage().resize_(0)
    assert meter.alive.total == 800
    del tensor
    assert meter.alive.total == 0


def test_what_lies_outside_of_the_device_is_not_counted():
    with FakeTensorMode(), Recorder() as recorder:
        tensor = torch.ones(1000)
        kept = Outside().put(tensor)
        del tensor
        assert recorder.memory.alive.total == 0
        assert kept.shape == (1000,)
    assert recorder.memory.peak.total == 4000


def test_tensors_without_memory_are_not_counted():
    meter = MemoryMeter()
    meter.see(torch.empty(100, device="meta"))
    assert meter.peak.total == 0


def test_storages_are_told_apart_by_when_they_were_made_and_whether_they_are_sent():
    meter = MemoryMeter()
    state = torch.empty(100)
    meter.see(state)
    meter.settle()
    forward, backward, sent = torch.empty(10), torch.empty(20), torch.empty(30)
    meter.see(forward, Kind.ACTIVATIONS)
    meter.see([backward, sent], Kind.WORKSPACE)
    meter.see_sent([sent, state])
    assert meter.alive == meter.peak == Alive(state=400, activations=40, workspace=80, buffers=120)
    del sent, forward
    assert meter.alive == Alive(state=400, workspace=80)


def test_state_that_grows_in_a_step_is_collected_into_buffers():
    meter = MemoryMeter()
    state = torch.empty(100)
    meter.see(state)
    stop = meter.watch_resizes()
    state.untyped_storage().resize_(40)
    meter.settle()
    state.untyped_storage().resize_(400)
    assert meter.alive == Alive(state=40, buffers=360)
    state.untyped_storage().resize_(0)
    stop()
    assert (meter.alive, meter.peak.total) == (Alive(), 400)
