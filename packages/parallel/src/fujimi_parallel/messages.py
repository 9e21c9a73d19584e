"""Messages between the ranks of a pipeline."""

import torch
import torch.distributed as dist

from fujimi_parallel.works import wait_for


class Messages:
    """Sends tensors of one shape and type to other ranks of a group without waiting, and receives them.

    Messages with the same tag arrive in the order in which they were sent.

    Args:
        group: The ranks.
        shape: Of every tensor.
        dtype: Of every tensor.
        device: Where they are.
    """

    def __init__(
        self, group: dist.ProcessGroup, *, shape: torch.Size, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._group = group
        self._shape, self._dtype, self._device = shape, dtype, device
        self._under_way: list[tuple[dist.Work, torch.Tensor]] = []

    def send(self, tensor: torch.Tensor, rank: int, *, tag: int) -> None:
        """Begin to send a tensor, which is kept until it has left and `let_go` is called."""
        tensor = tensor.detach().to(self._dtype).contiguous()
        work = dist.isend(tensor, group=self._group, group_dst=rank, tag=tag)
        assert work is not None
        self._under_way.append((work, tensor))

    def receive(self, rank: int, *, tag: int) -> torch.Tensor:
        """Wait for a tensor."""
        tensor = torch.empty(self._shape, dtype=self._dtype, device=self._device)
        work = dist.irecv(tensor, group=self._group, group_src=rank, tag=tag)
        assert work is not None
        wait_for(work)
        return tensor

    def let_go(self) -> None:
        """Let go of what has left."""
        self._under_way = [(work, sent) for work, sent in self._under_way if not work.is_completed()]

    def finish(self) -> None:
        """Wait until everything has left."""
        for work, _ in self._under_way:
            wait_for(work)
        self._under_way.clear()
