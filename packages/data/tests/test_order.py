import numpy as np
import pytest
from fujimi_core.data_spec import SampleOrder
from fujimi_data.order import batch_indices, laned, permuted
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.integers(1, 3000), st.integers(0, 2**40), st.integers(0, 1000))
def test_an_epoch_visits_each_sample_once(samples: int, seed: int, epoch: int) -> None:
    visited = permuted(np.arange(samples), samples=samples, seed=seed, epoch=epoch)
    assert np.array_equal(np.sort(visited), np.arange(samples))


@given(st.integers(1, 2**50), st.lists(st.integers(0, 2**50), min_size=1, max_size=20))
def test_large_epochs_stay_in_range_and_do_not_repeat(samples: int, positions: list[int]) -> None:
    chosen = np.unique(np.array(positions) % samples)
    visited = permuted(chosen, samples=samples, seed=1, epoch=2)
    assert len(np.unique(visited)) == len(chosen)
    assert visited.min() >= 0
    assert visited.max() < samples


def stream(samples: int, seed: int, *, first_step: int, steps: int, global_batch: int, world_size: int) -> list[int]:
    """What all ranks read, in the order of the stream."""
    return [
        int(index)
        for step in range(first_step, first_step + steps)
        for rank in range(world_size)
        for index in batch_indices(
            samples=samples, seed=seed, step=step, global_batch=global_batch, rank=rank, world_size=world_size
        )
    ]


@settings(max_examples=60)
@given(
    samples=st.integers(1, 60),
    seed=st.integers(0, 5),
    batches_a_rank=st.integers(1, 5),
    before=st.integers(0, 6),
    after=st.integers(0, 6),
)
def test_a_run_goes_on_with_another_world_size_without_loss_or_repetition(
    samples: int, seed: int, batches_a_rank: int, before: int, after: int
) -> None:
    batch = 12 * batches_a_rank
    start = stream(samples, seed, first_step=0, steps=before, global_batch=batch, world_size=4)
    rest = stream(samples, seed, first_step=before, steps=after, global_batch=batch, world_size=6)
    seen = start + rest
    epochs = [seen[first : first + samples] for first in range(0, len(seen), samples)]
    assert len(seen) == (before + after) * batch
    assert all(sorted(epoch) == list(range(samples)) for epoch in epochs[:-1])
    assert all(len(set(epoch)) == len(epoch) for epoch in epochs)


@settings(max_examples=60)
@given(samples=st.integers(1, 50), world_size=st.sampled_from([1, 2, 3, 5, 8]), batch=st.integers(1, 30))
def test_ranks_share_the_batch_that_one_rank_would_read(samples: int, world_size: int, batch: int) -> None:
    alone = stream(samples, 3, first_step=2, steps=2, global_batch=batch * world_size, world_size=1)
    together = stream(samples, 3, first_step=2, steps=2, global_batch=batch * world_size, world_size=world_size)
    assert together == alone


@settings(max_examples=100)
@given(st.integers(1, 3000), st.integers(0, 2**40), st.integers(0, 1000), st.integers(1, 300))
def test_an_epoch_in_lane_order_visits_each_sample_once(samples: int, seed: int, epoch: int, lanes: int) -> None:
    visited = laned(np.arange(samples), samples=samples, seed=seed, epoch=epoch, lanes=lanes)
    assert np.array_equal(np.sort(visited), np.arange(samples))


def test_a_lane_reads_blocks_of_neighbours_in_random_order() -> None:
    lanes, samples = 16, 64 * 16 * 10
    visited = laned(np.arange(samples), samples=samples, seed=1, epoch=0, lanes=lanes)
    blocks = visited.reshape(10, 64, lanes) // 64
    assert np.all(blocks == blocks[:, :1])
    assert len(np.unique(blocks[:, 0])) == 160
    within = visited.reshape(10, 64, lanes) % 64
    assert np.all(np.sort(within, axis=1) == np.arange(64)[:, None])
    # no two blocks are read in the same order, and blocks do not follow each other
    assert len(np.unique(within.transpose(0, 2, 1).reshape(160, 64), axis=0)) == 160
    assert abs(np.corrcoef(blocks[:, 0].reshape(-1), np.arange(160))[0, 1]) < 0.3


@settings(max_examples=100)
@given(
    samples=st.integers(1, 400),
    order=st.sampled_from(list(SampleOrder)),
    batch=st.integers(1, 40),
    world_sizes=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    steps=st.tuples(st.integers(0, 12), st.integers(0, 12)),
    seed=st.integers(0, 9),
)
def test_runs_go_on_with_any_world_size_in_any_order(
    samples: int, order: SampleOrder, batch: int, world_sizes: tuple[int, int], steps: tuple[int, int], seed: int
) -> None:
    seen: list[int] = []
    for world_size, first, count in ((world_sizes[0], 0, steps[0]), (world_sizes[1], *steps)):
        ranks = min(world_size, batch)
        for step in range(first, first + count):
            shares = [
                batch_indices(
                    samples=samples, seed=seed, step=step, global_batch=batch, rank=rank, world_size=ranks, order=order
                )
                for rank in range(ranks)
            ]
            assert {len(share) for share in shares} <= {batch // ranks, -(-batch // ranks)}
            seen += np.concatenate(shares).tolist()
    assert len(seen) == batch * sum(steps)
    epochs = [seen[first : first + samples] for first in range(0, len(seen), samples)]
    assert all(sorted(epoch) == list(range(samples)) for epoch in epochs[:-1])
    assert all(len(set(epoch)) == len(epoch) for epoch in epochs)


@given(
    samples=st.integers(1, 60),
    distinct=st.integers(1, 12),
    repeats=st.integers(1, 4),
    order=st.sampled_from(list(SampleOrder)),
    world_sizes=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 3),
)
def test_repeats_are_in_one_batch_and_no_sample_is_lost(
    samples: int, distinct: int, repeats: int, order: SampleOrder, world_sizes: tuple[int, int], seed: int
) -> None:
    batch = distinct * repeats
    sharing = {"samples": samples, "seed": seed, "order": order}
    for step in range(5):
        world_size = min(world_sizes[step > 2], batch)
        once = batch_indices(step=step, global_batch=distinct, **sharing)
        parts = [
            batch_indices(step=step, global_batch=batch, repeats=repeats, rank=rank, world_size=world_size, **sharing)
            for rank in range(world_size)
        ]
        assert np.concatenate(parts).tolist() == once.tolist() * repeats


def test_repeats_that_do_not_divide_the_batch_are_refused() -> None:
    for repeats in (0, 3):
        with pytest.raises(ValueError, match=rf"repeats is {repeats}; .* divide the global batch of 8"):
            batch_indices(samples=10, seed=0, step=0, global_batch=8, repeats=repeats)


def test_samples_in_sequential_order_come_as_they_lie() -> None:
    read = batch_indices(samples=10, seed=3, step=1, global_batch=8, order=SampleOrder.SEQUENTIAL)
    assert read.tolist() == [8, 9, 0, 1, 2, 3, 4, 5]


def test_an_unknown_order_is_refused() -> None:
    with pytest.raises(ValueError, match="Unknown order: 'lane'"):
        batch_indices(samples=10, seed=0, step=0, global_batch=4, order="lane")  # type: ignore[arg-type]


def test_epochs_and_seeds_have_other_orders() -> None:
    orders = {
        tuple(permuted(np.arange(50), samples=50, seed=seed, epoch=epoch)) for seed in range(5) for epoch in range(5)
    }
    assert len(orders) == 25


@pytest.mark.parametrize("samples", [4, 5, 24, 97])
def test_each_sample_comes_first_equally_often(samples: int) -> None:
    epochs = 60 * samples
    first = [int(permuted(np.zeros(1, dtype=np.int64), samples=samples, seed=0, epoch=e)[0]) for e in range(epochs)]
    counts = np.bincount(first, minlength=samples)
    chi_square = float(((counts - 60) ** 2 / 60).sum())
    # mean and standard deviation of chi-square with samples - 1 degrees of freedom
    assert chi_square < samples - 1 + 5 * np.sqrt(2 * (samples - 1))


def test_all_orders_of_four_samples_occur() -> None:
    orders = {tuple(permuted(np.arange(4), samples=4, seed=seed, epoch=0)) for seed in range(600)}
    assert len(orders) == 24


def test_neighbours_in_an_epoch_are_not_neighbours_in_the_dataset() -> None:
    visited = permuted(np.arange(10_000), samples=10_000, seed=0, epoch=0)
    steps = np.abs(np.diff(visited))
    # two random places of n are n / 3 apart on average
    assert abs(steps.mean() - 10_000 / 3) < 100
    assert abs(np.corrcoef(visited, np.arange(10_000))[0, 1]) < 0.05


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"global_batch": 3, "world_size": 4}, "leaves nothing to some of 4 ranks"),
        ({"rank": 2, "world_size": 2}, "rank 2 of 2"),
        ({"rank": -1}, "rank -1 of 1"),
        ({"samples": 0}, "at least 1"),
        ({"step": -1}, "at least 0"),
        ({"seed": -1}, "at least 0"),
        ({"global_batch": 0}, "at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, int], match: str) -> None:
    arguments = {"samples": 10, "seed": 0, "step": 0, "global_batch": 4, **changes}
    with pytest.raises(ValueError, match=match):
        batch_indices(**arguments)


def test_positions_outside_of_the_epoch_are_refused() -> None:
    with pytest.raises(ValueError, match="epoch of 5 samples"):
        permuted(np.array([5]), samples=5, seed=0, epoch=0)
