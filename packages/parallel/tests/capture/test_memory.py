import torch
from fujimi_parallel.capture.memory import MemoryMeter
from fujimi_parallel.capture.recorder import Recorder
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
    assert meter.alive_bytes == 400
    view = tensor[:5]
    del tensor
    assert meter.alive_bytes == 400
    del view
    assert (meter.alive_bytes, meter.peak_bytes) == (0, 400)


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
    assert recorder.memory.peak_bytes == expected


def test_restart_forgets_the_peak_and_keeps_what_is_alive():
    meter = MemoryMeter()
    kept, gone = torch.empty(10), torch.empty(1000)
    meter.see([kept, gone])
    del gone
    meter.restart()
    assert meter.peak_bytes == meter.alive_bytes == 40
