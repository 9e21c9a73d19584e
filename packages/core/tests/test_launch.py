import pytest
from fujimi_core.errors import RunError
from fujimi_core.launch import Launch, launch_of

#: What each launcher sets, as rank 3 of 8 that is rank 1 of 2 on its node.
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "PMIX_RANK": "3",
}
MVAPICH = {
    "MV2_COMM_WORLD_RANK": "3",
    "MV2_COMM_WORLD_SIZE": "8",
    "MV2_COMM_WORLD_LOCAL_RANK": "1",
    "MV2_COMM_WORLD_LOCAL_SIZE": "2",
    "PMI_ID": "3",
}
HYDRA = {"PMI_RANK": "3", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
PALS = {"PALS_RANKID": "3", "PALS_NODEID": "1", "PALS_LOCAL_RANKID": "1", "PALS_LOCAL_SIZE": "2", "PMI_SIZE": "8"}
CRAY = {**PALS, "PMI_RANK": "3", "PMI_LOCAL_RANK": "1", "PMI_LOCAL_SIZE": "2"}
BATCH_SCRIPT = {
    "SLURM_JOB_ID": "7",
    "SLURM_PROCID": "0",
    "SLURM_LOCALID": "0",
    "SLURM_NTASKS": "8",
    "SLURM_NODEID": "0",
}
STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
}
#: Hydra starts a helper on each node by srun, whose ranks inherit its numbers.
HELPER = {**STEP, "SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "4"} | {
    "SLURM_STEP_TASKS_PER_NODE": "1(x4)"
}
FUJITSU_PMIX = {"PMIX_RANK": "3", "PJM_MPI_PROC": "8", "PLE_RANK_ON_NODE": "1", "PJM_PROC_BY_NODE": "2"}


def test_process_that_nothing_launched_is_alone():
    assert launch_of({}) == Launch(launcher="none", rank=0, world_size=1)


@pytest.mark.parametrize(
    ("environ", "launcher"),
    [
        (TORCHRUN, "torchrun"),
        (OPEN_MPI, "mpi"),
        (MVAPICH, "mpi"),
        (HYDRA, "mpi"),
        (PALS, "mpi"),
        (CRAY, "mpi"),
        (FUJITSU_PMIX, "mpi"),
        (STEP, "srun"),
    ],
)
def test_each_launcher_tells_rank_and_size_in_its_own_words(environ, launcher):
    assert launch_of(environ) == Launch(launcher=launcher, rank=3, world_size=8, local_rank=1, local_size=2)


@pytest.mark.parametrize("process_manager", [{"PMI_RANK": "3", "PMI_SIZE": "8"}, {"PMIX_RANK": "3"}])
def test_srun_that_starts_mpi_is_an_mpi_launcher(process_manager):
    assert launch_of({**STEP, **process_manager}) == Launch(
        launcher="mpi", rank=3, world_size=8, local_rank=1, local_size=2
    )


@pytest.mark.parametrize("inner", [HYDRA, OPEN_MPI, MVAPICH, CRAY])
@pytest.mark.parametrize("outer", [BATCH_SCRIPT, HELPER])
def test_mpiexec_inside_an_allocation_goes_before_the_numbers_of_slurm(inner, outer):
    assert launch_of({**outer, **inner}) == Launch(launcher="mpi", rank=3, world_size=8, local_rank=1, local_size=2)


@pytest.mark.parametrize("outer", [STEP, HYDRA, OPEN_MPI])
def test_torchrun_that_another_launcher_started_on_each_node_goes_first(outer):
    inner = {"RANK": "9", "WORLD_SIZE": "16", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    found = launch_of({**outer, **inner})
    assert found == Launch(launcher="torchrun", rank=9, world_size=16, local_rank=1, local_size=4)


@pytest.mark.parametrize("shell", [0xFFFFFFFA, 0xFFFFFFFB])
def test_shell_of_an_allocation_is_alone_whatever_the_allocation_holds(shell):
    assert launch_of(BATCH_SCRIPT) == Launch(launcher="none")
    assert launch_of({**STEP, "SLURM_STEP_ID": str(shell)}) == Launch(launcher="none")


@pytest.mark.parametrize(
    ("tasks", "sizes"), [("2(x2),1", [2, 2, 1]), ("3", [3]), ("1,4(x2)", [1, 4, 4]), ("12(x1),2", [12, 2])]
)
def test_tasks_of_each_node_of_a_step_are_counted(tasks, sizes):
    for node, size in enumerate(sizes):
        environ = {**STEP, "SLURM_NODEID": str(node), "SLURM_STEP_TASKS_PER_NODE": tasks, "SLURM_LOCALID": "0"}
        assert launch_of(environ).local_size == size


@pytest.mark.parametrize(
    "environ",
    [
        {"PMI_RANK": "1"},
        {"PMI_RANK": "two", "PMI_SIZE": "4"},
        {"PMI_RANK": "4", "PMI_SIZE": "4"},
        {"RANK": "0", "WORLD_SIZE": "0"},
        {"WORLD_SIZE": "4"},
        {"PMIX_RANK": "1"},
        {"PALS_RANKID": "1"},
        {"SLURM_STEP_NUM_TASKS": "2"},
        {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1", "SLURM_STEP_TASKS_PER_NODE": "all"},
    ],
)
def test_environment_that_contradicts_itself_is_refused_by_name(environ):
    name, value = next(iter(environ.items()))
    with pytest.raises(RunError, match=f"{name}={value}"):
        launch_of(environ)
