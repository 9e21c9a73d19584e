from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
from fujimi_data.scratch import borrowed


def test_arrays_have_their_lengths_and_types_and_do_not_overlap() -> None:
    arrays = borrowed((3, np.uint8), (5, np.float64), (0, np.int32), (7, np.uint32))
    assert [(len(array), array.dtype) for array in arrays] == [(3, "u1"), (5, "f8"), (0, "i4"), (7, "u4")]
    for number, array in enumerate(arrays):
        array[:] = number
    assert [set(array.tolist()) for array in arrays] == [{0}, {1}, set(), {3}]


def test_memory_is_used_again() -> None:
    (first,) = borrowed((1000, np.uint8))
    (second,) = borrowed((100, np.uint32))
    assert np.shares_memory(first, second)


def test_much_memory_is_not_kept() -> None:
    (small,) = borrowed((1000, np.uint8))
    (large,) = borrowed((2**26 + 1, np.uint8))
    assert not np.shares_memory(borrowed((1000, np.uint8))[0], large)
    assert np.shares_memory(borrowed((1000, np.uint8))[0], small)


def test_threads_have_memory_of_their_own() -> None:
    # both threads borrow before either ends
    both = Barrier(2)

    def borrow() -> np.ndarray:
        (array,) = borrowed((1000, np.uint8))
        both.wait(10)
        return array

    with ThreadPoolExecutor(2) as pool:
        first, second = (future.result() for future in [pool.submit(borrow), pool.submit(borrow)])
    assert not np.shares_memory(first, second)
