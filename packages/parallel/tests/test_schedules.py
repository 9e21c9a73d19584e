from collections import Counter, defaultdict, deque
from types import SimpleNamespace

import pytest
import torch.distributed.pipelining.schedules as torchs
from fujimi_core.job import Schedule
from fujimi_parallel.schedules import Action, Work, order

TORCH_NAMES = {"FORWARD": Work.FORWARD, "FULL_BACKWARD": Work.BACKWARD, "BACKWARD_INPUT": Work.INPUTS}
TORCH_NAMES |= {"BACKWARD_WEIGHT": Work.WEIGHTS}
#: Schedule, ranks, stages of each, microbatches.
MANY = [
    (schedule, ranks, virtual, microbatches)
    for schedule in Schedule
    for ranks in (1, 2, 3, 4, 5, 8)
    for virtual in ((1, 2, 3) if schedule in (Schedule.INTERLEAVED, Schedule.ZERO_BUBBLE) else (1,))
    for microbatches in ((ranks, 2 * ranks, 5 * ranks) if virtual > 1 else (1, 2, ranks, 2 * ranks + 1, 12))
]


def orders(schedule, ranks, virtual, microbatches):
    return [
        order(schedule, rank=rank, ranks=ranks, virtual_stages=virtual, microbatches=microbatches)
        for rank in range(ranks)
    ]


class Pipes:
    """What has been sent from stage to stage, and when; messages take no time and keep their order."""

    def __init__(self, last):
        self.last = last
        self.sent = defaultdict(deque)
        self.done = {}

    def begin(self, action):
        """When an action can begin at the earliest; None if that is not known yet."""
        if action.work is Work.WEIGHTS:
            return self.done[Work.INPUTS, action.stage, action.microbatch]
        if action.work is Work.FORWARD:
            return self.received(action, first=0, at=0.0)
        own = self.done[Work.FORWARD, action.stage, action.microbatch]
        return self.received(action, first=self.last, at=own)

    def received(self, action, *, first, at):
        if action.stage == first:
            return at
        queue = self.sent[action.work is Work.FORWARD, action.stage]
        if not queue:
            return None
        assert queue[0][0] == action.microbatch, "one message was taken for another"
        return max(at, queue[0][1])

    def end(self, action, at):
        self.done[action.work, action.stage, action.microbatch] = at
        if action.work is Work.WEIGHTS:
            return
        forward = action.work is Work.FORWARD
        if self.sent[forward, action.stage]:
            self.sent[forward, action.stage].popleft()
        self.sent[forward, action.stage + (1 if forward else -1)].append((action.microbatch, at))


def makespan(ranks, seconds):
    """Time until all ranks are done; fails if some wait for each other."""
    pipes = Pipes(max(action.stage for actions in ranks for action in actions))
    clocks, waiting = [0.0] * len(ranks), [deque(actions) for actions in ranks]
    moved = True
    while moved:
        moved = False
        for rank, actions in enumerate(waiting):
            while actions and (ready := pipes.begin(actions[0])) is not None:
                clocks[rank] = max(clocks[rank], ready) + seconds[actions[0].work]
                pipes.end(actions.popleft(), clocks[rank])
                moved = True
    assert not any(waiting), "ranks wait for each other"
    return max(clocks)


def most_in_flight(actions, *, until):
    """Most forward passes whose results are kept, until some work of the same microbatch."""
    most = kept = 0
    for action in actions:
        kept += (action.work is Work.FORWARD) - (action.work is until)
        most = max(most, kept)
    return most


def of_torch(actions):
    """Torch's actions without its bubbles and reductions."""
    named = [(action.computation_type.name, action) for action in actions if action is not None]
    return [
        Action(TORCH_NAMES[name], action.stage_index, action.microbatch_index)
        for name, action in named
        if name in TORCH_NAMES
    ]


@pytest.mark.parametrize(("ranks", "microbatches"), [(2, 2), (2, 5), (4, 4), (4, 9), (7, 20)])
def test_gpipe_is_that_of_torch(ranks, microbatches):
    plan = SimpleNamespace(_num_stages=ranks, _n_microbatches=microbatches)
    table = torchs.ScheduleGPipe._get_pipeline_order(plan)
    assert [list(actions) for actions in orders(Schedule.GPIPE, ranks, 1, microbatches)] == [
        of_torch(table[rank]) for rank in range(ranks)
    ]


@pytest.mark.parametrize(("ranks", "microbatches"), [(2, 2), (2, 5), (4, 4), (4, 9), (7, 20)])
def test_one_forward_one_backward_is_that_of_torch(ranks, microbatches):
    plan = SimpleNamespace(_num_stages=ranks, _n_microbatches=microbatches)
    table = torchs.Schedule1F1B._get_pipeline_order(plan)
    ours = orders(Schedule.ONE_F_ONE_B, ranks, 1, microbatches)
    assert [list(actions) for actions in ours[:-1]] == [of_torch(table[rank]) for rank in range(ranks - 1)]
    # the table of torch (not its run) counts the last rank's forward passes from 1, but backward ones from 0
    assert [
        action if action.work is Work.BACKWARD else Action(action.work, action.stage, action.microbatch + 1)
        for action in ours[-1]
    ] == of_torch(table[ranks - 1])


@pytest.mark.parametrize(
    ("kind", "schedule", "virtual"),
    [
        (torchs.ScheduleInterleaved1F1B, Schedule.INTERLEAVED, 2),
        (torchs.ScheduleInterleaved1F1B, Schedule.INTERLEAVED, 3),
        (torchs.ScheduleInterleavedZeroBubble, Schedule.ZERO_BUBBLE, 1),
    ],
)
@pytest.mark.parametrize(("ranks", "rounds"), [(2, 1), (2, 4), (3, 2), (4, 1), (4, 3), (8, 2)])
def test_interleaved_and_zero_bubble_are_those_of_torch(kind, schedule, virtual, ranks, rounds):
    plan = SimpleNamespace(
        n_local_stages=virtual, pp_group_size=ranks, microbatches_per_round=ranks, _n_microbatches=ranks * rounds
    )
    table = [of_torch(kind._calculate_single_rank_operations(plan, rank)) for rank in range(ranks)]
    assert [list(actions) for actions in orders(schedule, ranks, virtual, ranks * rounds)] == table


@pytest.mark.parametrize(("ranks", "rounds"), [(2, 1), (2, 4), (3, 2), (4, 3)])
def test_zero_bubble_of_several_stages_is_interleaved_with_later_weights(ranks, rounds):
    """Torch lets ranks run ahead by less here, and inserts bubbles for it."""
    halved = orders(Schedule.ZERO_BUBBLE, ranks, 2, ranks * rounds)
    whole = orders(Schedule.INTERLEAVED, ranks, 2, ranks * rounds)
    for mine, other in zip(halved, whole, strict=True):
        names = {Work.FORWARD: Work.FORWARD, Work.BACKWARD: Work.INPUTS}
        assert [action for action in mine if action.work is not Work.WEIGHTS] == [
            Action(names[action.work], action.stage, action.microbatch) for action in other
        ]


@pytest.mark.parametrize(("schedule", "ranks", "virtual", "microbatches"), MANY)
def test_everything_is_done_once_and_no_rank_waits_for_ever(schedule, ranks, virtual, microbatches):
    found = orders(schedule, ranks, virtual, microbatches)
    backward = {Work.INPUTS, Work.WEIGHTS} if schedule is Schedule.ZERO_BUBBLE else {Work.BACKWARD}
    expected = Counter(
        Action(work, stage, microbatch)
        for work in {Work.FORWARD, *backward}
        for stage in range(ranks * virtual)
        for microbatch in range(microbatches)
    )
    assert Counter(action for actions in found for action in actions) == expected
    assert all(action.stage % ranks == rank for rank, actions in enumerate(found) for action in actions)
    makespan(found, dict.fromkeys(Work, 1.0))


@pytest.mark.parametrize(("schedule", "ranks", "virtual", "microbatches"), MANY)
def test_backward_passes_of_a_stage_come_in_the_order_of_microbatches(schedule, ranks, virtual, microbatches):
    """So gradients are summed in the order in which one process would."""
    for actions in orders(schedule, ranks, virtual, microbatches):
        seen = Counter()
        for action in actions:
            assert seen[action.work, action.stage] == action.microbatch
            seen[action.work, action.stage] += 1


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("microbatches", [1, 8, 24])
def test_microbatches_in_flight_are_those_of_the_papers(ranks, microbatches):
    gpipe = orders(Schedule.GPIPE, ranks, 1, microbatches)
    assert [most_in_flight(actions, until=Work.BACKWARD) for actions in gpipe] == [microbatches] * ranks
    one_one = orders(Schedule.ONE_F_ONE_B, ranks, 1, microbatches)
    expected = [min(microbatches, ranks - rank) for rank in range(ranks)]
    assert [most_in_flight(actions, until=Work.BACKWARD) for actions in one_one] == expected
    halved = orders(Schedule.ZERO_BUBBLE, ranks, 1, microbatches)
    assert [most_in_flight(actions, until=Work.INPUTS) for actions in halved] == expected
    # ZB-H1 keeps what weights need for as long as the first rank of 1F1B would (Qi et al., 2024, section 2.2)
    assert max(most_in_flight(actions, until=Work.WEIGHTS) for actions in halved) == min(microbatches, ranks)


@pytest.mark.parametrize(("ranks", "microbatches"), [(2, 4), (4, 8), (8, 24)])
def test_bubbles_are_those_of_the_papers(ranks, microbatches):
    seconds = {Work.FORWARD: 1.0, Work.INPUTS: 1.0, Work.WEIGHTS: 1.0, Work.BACKWARD: 2.0}
    busy, bubble = 3 * microbatches, 3 * (ranks - 1)
    for schedule in (Schedule.GPIPE, Schedule.ONE_F_ONE_B):
        assert makespan(orders(schedule, ranks, 1, microbatches), seconds) == busy + bubble
    # Narayanan et al., 2021, section 2.2: the bubble shrinks by the number of stages of a rank
    assert makespan(orders(Schedule.INTERLEAVED, ranks, 2, microbatches), seconds) == 2 * busy + bubble
    # Qi et al., 2024, table 2: (p - 1)(F + B - W) for ZB-H1
    assert makespan(orders(Schedule.ZERO_BUBBLE, ranks, 1, microbatches), seconds) == busy + bubble / 3
