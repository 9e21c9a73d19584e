import pytest
from fujimi_core.errors import RunError
from fujimi_data.part import Part, parse, part_of


@pytest.mark.parametrize("of", [1, 2, 5, 40])
@pytest.mark.parametrize("shards", [0, 1, 7, 40])
def test_parts_share_all_shards(of: int, shards: int) -> None:
    dealt = [position for number in range(of) for position in Part(number=number, of=of).shards(shards)]
    assert sorted(dealt) == list(range(shards))


@pytest.mark.parametrize(
    ("environ", "part"),
    [
        ({}, (0, 1)),
        ({"PMI_RANK": "1", "PMI_SIZE": "4"}, (1, 4)),
        ({"OMPI_COMM_WORLD_RANK": "3", "OMPI_COMM_WORLD_SIZE": "8"}, (3, 8)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "4"}, (3, 4)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_STEP": "4",
                "SLURM_ARRAY_TASK_COUNT": "3",
            },
            (2, 3),
        ),
        (
            {
                "SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_COUNT": "2",
                "SLURM_STEP_NUM_TASKS": "3", "SLURM_PROCID": "2", "SLURM_STEP_ID": "0",
            },
            (5, 6),
        ),
    ],
)  # fmt: skip
def test_launchers_and_arrays_are_known(environ: dict[str, str], part: tuple[int, int]) -> None:
    found = part_of(environ)
    assert (found.number, found.of) == part


def test_an_environment_that_does_not_hold_together_is_refused() -> None:
    with pytest.raises(RunError, match="PMI_RANK=4"):
        part_of({"PMI_RANK": "4", "PMI_SIZE": "4"})


@pytest.mark.parametrize("text", ["", "1", "1/", "/2", "-1/2", "a/b", "1/2/3"])
def test_what_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form K/N"):
        parse(text)


@pytest.mark.parametrize("text", ["2/2", "0/0"])
def test_parts_that_are_not_among_all_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="parts count from 0"):
        parse(text)


def test_a_task_that_is_no_number_is_refused() -> None:
    with pytest.raises(RunError, match="SLURM_ARRAY_TASK_ID=abc and its like make no sense"):
        part_of({"SLURM_ARRAY_TASK_ID": "abc"})
