"""Offload: what is not needed for a while lies outside of the device's memory.

Outside is the host's memory for a GPU. Where the device is the host itself it is a file, which the operating system
writes out when memory runs short; its pages are no longer memory that the process needs.
"""

import contextlib
import os
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

import torch
from fujimi_core.errors import RunError

#: Tensors smaller than this stay: moving them would gain nothing.
SMALLEST_BYTES = 64 * 2**10
_outside: "weakref.WeakSet[torch.UntypedStorage]" = weakref.WeakSet()
_making_room = False


def is_outside(storage: torch.UntypedStorage) -> bool:
    """Whether a storage lies outside of the device's memory, also while it is being made."""
    return _making_room or storage in _outside


@contextlib.contextmanager
def _room_is_made() -> Iterator[None]:
    global _making_room
    _making_room = True
    try:
        yield
    finally:
        _making_room = False


class Outside:
    """Room outside of the device's memory.

    Args:
        directory: For files; that of temporary files if not given. Nothing stays there.
    """

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self.moved_bytes = 0

    def room(self, like: torch.Tensor) -> torch.Tensor:
        """A tensor outside, of the same shape and type, not filled.

        Raises:
            RunError: If there is no room, or no such directory.
        """
        with _room_is_made():
            if like.is_cuda:
                found = torch.empty(like.shape, dtype=like.dtype, device="cpu", pin_memory=True)
            elif _is_fake(like):
                found = torch.empty(like.shape, dtype=like.dtype, device=like.device)
            else:
                found = self._file(like)
        _outside.add(found.untyped_storage())
        return found

    def put(self, tensor: torch.Tensor) -> torch.Tensor:
        """Copy a tensor to the outside."""
        found = self.room(tensor)
        self.moved_bytes += tensor.nbytes
        return found.copy_(tensor)

    @contextlib.contextmanager
    def activations(self) -> Iterator[None]:
        """Let what autograd keeps for the backward pass lie outside until then."""
        with torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack):
            yield

    def _pack(self, tensor: torch.Tensor) -> tuple[torch.Tensor, torch.device | None]:
        is_parameter = isinstance(tensor, torch.nn.Parameter) or isinstance(tensor._base, torch.nn.Parameter)
        if is_parameter or tensor.nbytes < SMALLEST_BYTES or not tensor.is_floating_point():
            return tensor, None
        return self.put(tensor), tensor.device

    def _unpack(self, packed: tuple[torch.Tensor, torch.device | None]) -> torch.Tensor:
        tensor, device = packed
        if device is None:
            return tensor
        self.moved_bytes += tensor.nbytes
        return torch.empty(tensor.shape, dtype=tensor.dtype, device=device).copy_(tensor)

    def _file(self, like: torch.Tensor) -> torch.Tensor:
        try:
            handle, path = tempfile.mkstemp(prefix="fujimi-offload-", dir=self._directory)
            try:
                os.posix_fallocate(handle, 0, max(like.nbytes, 1))  # no room is an error here, not a signal later
                return torch.from_file(path, shared=True, size=like.numel(), dtype=like.dtype).view(like.shape)
            finally:
                os.close(handle)
                Path(path).unlink()  # the mapping keeps it
        except OSError as wrong:
            raise RunError(
                f"cannot offload {like.nbytes:,} bytes to {self._directory or tempfile.gettempdir()}: "
                f"{wrong.strerror}; let parallel.offload_path be a directory with room"
            ) from None


def offload_state(optimizer: torch.optim.Optimizer, outside: Outside) -> None:
    """Move what an optimizer keeps beside each parameter to the outside, unless it is there already."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if (
                isinstance(value, torch.Tensor)
                and value.shape == parameter.shape
                and not is_outside(value.untyped_storage())
            ):
                state[key] = outside.put(value)


def fetch_state(optimizer: torch.optim.Optimizer) -> None:
    """Bring back what lies on another device than its parameter; files are worked on where they are."""
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[key] = value.to(parameter.device, non_blocking=True)


def _is_fake(tensor: torch.Tensor) -> bool:
    from torch._subclasses.fake_tensor import FakeTensor

    return isinstance(tensor, FakeTensor)
