"""What torch builds on process groups, on the backend "mpi"."""

import json

PROGRAM = "third_party.py"
RANKS = 4
#: Parts of the names of the tests of PyTorch that are run here; all of them take a minute.
COLLECTIVES = ("all_gather", "all_to_all", "broadcast", "reduce_sum", "scatter", "isend", "gather_object", "barrier")


def test_on_four_ranks(check, failures):
    assert "\n".join(failed[check] for failed in failures).strip() == ""


def test_torchs_own_tests_of_backends_pass(mpiexec, tmp_path):
    program = __file__.replace("test_third_party", "torch_suite")
    done = mpiexec(3, program, tmp_path, *COLLECTIVES)
    assert done.returncode == 0, done.stderr
    for rank in range(3):
        found = json.loads((tmp_path / str(rank)).read_text())
        assert found["problems"] == {}
        assert found["run"] - found["skipped"] > 30
