import pytest
import torch
import torch.distributed as dist
from fujimi_core.errors import PluginError
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Recv, Send, Trait
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.capture.recorder import Recorder
from fujimi_parallel.groups import group_along

MESH = Mesh.of(pp=3, dp=4, tp=2)


def all_reduce(group):
    dist.all_reduce(torch.ones(10), group=group)


def broadcast(group):
    dist.broadcast(torch.ones(10), group=group, group_src=0)


def all_gather(group):
    dist.all_gather_single(torch.ones(40), torch.ones(10), group=group)


def all_gather_list(group):
    dist.all_gather([torch.ones(10) for _ in range(4)], torch.ones(10), group=group)


def reduce_scatter(group):
    dist.reduce_scatter_single(torch.ones(10), torch.ones(40), group=group)


def reduce_scatter_list(group):
    dist.reduce_scatter(torch.ones(10), [torch.ones(10) for _ in range(4)], group=group)


def all_to_all(group):
    dist.all_to_all_single(torch.ones(40), torch.ones(40), group=group)


@pytest.mark.parametrize(
    ("communicate", "kind", "numbers"),
    [
        (all_reduce, CollectiveKind.ALL_REDUCE, 10),
        (broadcast, CollectiveKind.BROADCAST, 10),
        (all_gather, CollectiveKind.ALL_GATHER, 40),
        (all_gather_list, CollectiveKind.ALL_GATHER, 40),
        (reduce_scatter, CollectiveKind.REDUCE_SCATTER, 40),
        (reduce_scatter_list, CollectiveKind.REDUCE_SCATTER, 40),
        (all_to_all, CollectiveKind.ALL_TO_ALL, 40),
    ],
)
def test_collective_is_written_down_with_its_whole_buffer_and_its_axes(communicate, kind, numbers):
    with fake_world(MESH, rank=13), Recorder(MESH) as recorder:
        communicate(group_along(MESH, ["dp"]))
    (event,) = [event for event in recorder.events if isinstance(event, Collective)]
    assert (event.kind, event.nbytes, event.axes, event.dtype) == (kind, 4 * numbers, ("dp",), "float32")


@pytest.mark.parametrize("axes", [("pp",), ("dp", "tp"), ("pp", "dp", "tp")])
def test_group_is_known_by_the_axes_along_which_its_ranks_differ(axes):
    with fake_world(MESH, rank=13), Recorder(MESH) as recorder:
        dist.all_reduce(torch.ones(2), group=group_along(MESH, axes))
    assert recorder.events[-1].axes == axes


def test_messages_go_so_far_along_their_axis():
    with fake_world(MESH, rank=MESH.world_size - 1), Recorder(MESH) as recorder:
        group = group_along(MESH, ["pp"])
        tensor = torch.ones(5)
        dist.isend(tensor, group=group, group_dst=0).wait()
        dist.irecv(tensor, group=group, group_src=1).wait()
    _, sent, received = recorder.events
    assert (type(sent), sent.nbytes, sent.axis, sent.offset, sent.waits) == (Send, 20, "pp", -2, (0,))
    assert (type(received), received.nbytes, received.axis, received.offset, received.waits) == (Recv, 20, "pp", -1, ())


def test_phases_are_those_of_autograd_and_the_optimizer():
    with Recorder() as recorder:
        layer = torch.nn.Linear(3, 4)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        recorder.restart()
        layer(torch.ones(2, 3)).sum().backward()
        optimizer.step()
    phases = [event.phase for event in recorder.events]
    assert list(dict.fromkeys(phases)) == ["forward", "backward", "optimizer"]
    assert [event.phase for event in recorder.events if event.op == "aten.addmm"] == ["forward"]
    assert [event.phase for event in recorder.events if event.op == "aten.mm"] == ["backward"]


def test_views_and_rooms_are_no_kernels():
    with Recorder() as recorder:
        torch.empty(4, 4).view(16).detach()
    assert recorder.events == []


def test_kernel_reads_and_writes_each_tensor_once():
    with Recorder() as recorder:
        x = torch.ones(100)
        x + x.new_ones(100)
    add = recorder.events[-1]
    assert isinstance(add, Kernel)
    assert (add.op, add.nbytes, add.shapes) == ("aten.add", 3 * 400, ((100,), (100,)))


def test_recorder_without_a_mesh_refuses_communication():
    with fake_world(MESH), Recorder(), pytest.raises(PluginError, match="give it the mesh of the ranks"):
        dist.all_reduce(torch.ones(1))


def test_communication_that_cannot_be_translated_is_named():
    with fake_world(MESH), Recorder(MESH), pytest.raises(PluginError, match=r"cannot translate c10d.gather_.*all"):
        dist.gather(torch.ones(1), [torch.ones(1) for _ in range(MESH.world_size)])


@pytest.mark.parametrize(("formula", "traits"), [("none", ()), ("tanh", (Trait.TANH,))])
def test_formula_of_an_activation_is_told(formula, traits):
    x = torch.ones(4, requires_grad=True)
    with Recorder() as recorder:
        torch.nn.functional.gelu(x, approximate=formula).backward(torch.ones(4))
    found = {event.op: event.traits for event in recorder.events if "gelu" in event.op}
    assert found == {"aten.gelu": traits, "aten.gelu_backward": traits}


@pytest.mark.parametrize(("columns", "is_unaligned"), [(50_257, True), (50_258, False), (50_304, False)])
def test_product_with_rows_off_a_multiple_of_4_bytes_is_unaligned(columns, is_unaligned):
    with Recorder() as recorder:
        torch.ones(4, 8, dtype=torch.bfloat16) @ torch.ones(8, columns, dtype=torch.bfloat16)
    (product,) = [event for event in recorder.events if event.op == "aten.mm"]
    assert (Trait.UNALIGNED in product.traits) == is_unaligned
