from fujimi_core.job import Recompute
from fujimi_sim.planner.shares import shares_of


def test_blocks_are_dealt_to_ranks_as_a_plan_does() -> None:
    shares = shares_of(6, 4, 1, Recompute.FULL)
    assert shares.all_blocks.tolist() == [1, 2, 2, 1]
    assert list(shares.blocks) == [Recompute.FULL]
    assert shares.first.tolist() == [1, 0, 0, 0]
    assert shares.last.tolist() == [0, 0, 0, 1]


def test_ranks_with_several_stages_have_blocks_from_all_over_the_network() -> None:
    # stages 0, 2 and 1, 3 of blocks 0-1, 2-3, 4-5, 6-7
    shares = shares_of(8, 2, 2, (0, 1, 4))
    assert shares.blocks[Recompute.FULL].tolist() == [3, 0]
    assert shares.blocks[Recompute.NONE].tolist() == [1, 4]
