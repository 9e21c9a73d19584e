import pytest
from fujimi_core.errors import RunError
from fujimi_parallel.launch import Launch, launch_of


def test_process_that_nothing_launched_is_alone():
    assert launch_of({}) == Launch(launcher="none", rank=0, world_size=1)


@pytest.mark.parametrize(
    ("environ", "launcher"),
    [
        ({"PMI_RANK": "3", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}, "mpi"),
        (
            {
                "OMPI_COMM_WORLD_RANK": "3",
                "OMPI_COMM_WORLD_SIZE": "8",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1",
                "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
            },
            "mpi",
        ),
        ({"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}, "torchrun"),
    ],
)
def test_each_launcher_tells_rank_and_size_in_its_own_words(environ, launcher):
    assert launch_of(environ) == Launch(launcher=launcher, rank=3, world_size=8, local_rank=1, local_size=2)


@pytest.mark.parametrize(
    "environ",
    [
        {"PMI_RANK": "1"},
        {"PMI_RANK": "two", "PMI_SIZE": "4"},
        {"PMI_RANK": "4", "PMI_SIZE": "4"},
        {"RANK": "0", "WORLD_SIZE": "0"},
    ],
)
def test_environment_that_contradicts_itself_is_refused_by_name(environ):
    name, value = next(iter(environ.items()))
    with pytest.raises(RunError, match=f"{name}={value}"):
        launch_of(environ)
