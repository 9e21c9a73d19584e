import pytest
import torch
from fujimi_parallel.checkpoint.parts import Part
from fujimi_parallel.checkpoint.writer import Writer


@pytest.fixture
def save(tmp_path):
    """Saves what each of some ranks holds, and returns the checkpoint's directory."""

    def save(held, *, step=1, info=None, keep=2):
        writers = [Writer(tmp_path, rank=rank, ranks=len(held), keep=keep) for rank in range(len(held))]
        for writer, parts in zip(writers, held, strict=True):
            writer.start(step, parts, info or {})
        for writer in writers:
            writer.wait()
        return writers[0].commit()

    return save


@pytest.fixture
def elements_of():
    """The elements of a part, in one dimension, cut from the whole tensor by torch."""

    def elements_of(part, whole):
        block = whole[tuple(slice(*borders) for borders in part.block)]
        return block.reshape(-1)[slice(*part.flat)]

    return elements_of


@pytest.fixture
def grid(elements_of):
    """Parts of a tensor on a mesh: cut in blocks along one dim, then each block in flat shares."""

    def grid(name, whole, *, tensor, data, dim=0):
        def block(index):
            cut = [(extent * index // tensor, extent * (index + 1) // tensor) for extent in whole.shape]
            return [cut[each] if each == dim else (0, extent) for each, extent in enumerate(whole.shape)]

        parts = [
            Part.of(name, whole.shape, block=block(index)).share(share, data)
            for index in range(tensor)
            for share in range(data)
        ]
        return [(part, elements_of(part, whole)) for part in parts]

    return grid


@pytest.fixture
def whole():
    return torch.arange(24.0).reshape(4, 6)
