"""The pytest plugin in test suites of somebody else, each run by a pytest of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from fujimi_core import workload_file
from fujimi_core.job import Job
from fujimi_core.plugins import Plugins

pytest_plugins = ["pytester"]

CONFTEST = """
import pytest
from toys import Capture

@pytest.fixture(scope="session")
def fujimi_plugins(fujimi_plugins):
    fujimi_plugins.register(Capture(), "toys")
    return fujimi_plugins
"""
TEST = """
def test_scales(simulated):
    run = simulated("tiny.toml", machine="toy", nodes=[16, 64])
    assert (run.nodes, run.points[16].nodes) == (64, 16)
    assert run.parallel_efficiency > 0.5
    assert run.memory_fits
"""


class Suite:
    """A directory with a job file, and a machine and a capture that its conftest brings."""

    def __init__(self, pytester: pytest.Pytester, job_file: Path) -> None:
        self.directory = pytester.path
        self._pytester = pytester
        shutil.copy(Path(__file__).with_name("conftest.py"), self.directory / "toys.py")
        shutil.copy(job_file, self.directory / "tiny.toml")
        pytester.makeconftest(CONFTEST)
        self.write(TEST)

    def write(self, test: str) -> None:
        self._pytester.makepyfile(test_scaling=test)

    def run(self, *arguments: str) -> pytest.RunResult:
        return self._pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.directory / name).read_text()
        assert old in text
        (self.directory / name).write_text(text.replace(old, new))


@pytest.fixture
def suite(pytester: pytest.Pytester, job_file: Path) -> Suite:
    return Suite(pytester, job_file)


# the fixture


def test_failed_test_shows_what_does_not_fit_and_what_to_try(suite: Suite) -> None:
    suite.write("""
def test_fits(simulated):
    assert simulated("tiny.toml", machine="toy", nodes=2).memory_fits
""")
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["memory: DOES NOT FIT on 2 nodes: 2 GiB of 1 GiB; *; try parallel.pipeline = 2 or *"])


def test_fixture_simulates_a_job_file_beside_the_test(suite: Suite) -> None:
    suite.run().assert_outcomes(passed=1)


def test_fixture_simulates_a_captured_workload(suite: Suite, job: Job, plugins: Plugins) -> None:
    workload_file.save(plugins.capture(job, 4), suite.directory / "tiny.jsonl")
    suite.write("""
def test_scales(simulated):
    assert simulated("tiny.jsonl", machine="toy", nodes=4).nodes == 4
""")
    suite.run().assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("'tiny.toml', machine='tyo', nodes=1", "MachineError: Unknown machine: 'tyo'. Known: *Did you mean 'toy'?"),
        ("'tiny.toml', machine='toy', nodes=65", "MachineError: machine 'toy' has 64 nodes; 65 cannot be used*"),
        ("'tiny.toml', machine='toy', nodes=[]", "JobError: job 'tiny': give at least one number of nodes*"),
        (
            "'no.toml', machine='toy', nodes=1",
            "FujimiError: there is no */no.toml: paths are relative to the test file*",
        ),
    ],
)
def test_wrong_request_is_told_at_the_line_of_the_test_that_made_it(suite: Suite, arguments: str, message: str) -> None:
    suite.write(f"def test_scales(simulated):\n    simulated({arguments})\n")
    result = suite.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f">       simulated({arguments.replace('[', '[[]')})", f"E       *{message}"])
    result.stdout.fnmatch_lines(["test_scaling.py:2: *Error"])
    result.stdout.no_fnmatch_line("*pytest_plugin.py*")


def test_path_from_the_root_is_recognised(suite: Suite) -> None:
    tests = suite.directory / "tests"
    tests.mkdir()
    (suite.directory / "pytest.ini").write_text("[pytest]\n")
    (suite.directory / "test_scaling.py").rename(tests / "test_scaling.py")
    suite.run().stdout.fnmatch_lines(["E *did you mean '../tiny.toml'?"])
    suite.replace("tests/test_scaling.py", "tiny.toml", "../tiny.toml")
    suite.run().assert_outcomes(passed=1)


# the baseline


def test_stored_figures_pass_until_the_job_changes(suite: Suite) -> None:
    stored = suite.run("--fujimi-baseline", "baseline.json", "--fujimi-update")
    stored.assert_outcomes(passed=1)
    stored.stdout.fnmatch_lines([f"fujimi: 2 points stored in {suite.directory / 'baseline.json'}"])
    suite.run("--fujimi-baseline", "baseline.json").assert_outcomes(passed=1)
    # twice the reduction, on top of 10 ms of arithmetic
    suite.replace("toys.py", "nbytes=10**6", "nbytes=2 * 10**6")
    changed = suite.run("--fujimi-baseline", "baseline.json")
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(
        [
            ">       run = simulated(*",
            "E *tiny.toml on toy, 16 nodes: more than 1 % away from what is stored in baseline.json",
            "E *step_s *",
            "E *all_reduce along dp *backward *1 *1 MB -> 2 MB*",
            "E *tiny.toml on toy, 64 nodes: more than 1 % away from what is stored in baseline.json",
            "E *if this is meant, store it: add --fujimi-update",
        ]
    )
    suite.run("--fujimi-baseline", "baseline.json", "--fujimi-tolerance", "0.5").assert_outcomes(passed=1)
    suite.run("--fujimi-baseline", "baseline.json", "--fujimi-update").assert_outcomes(passed=1)
    suite.run("--fujimi-baseline", "baseline.json").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fujimi-update"], "*--fujimi-update: say where to store the figures: --fujimi-baseline FILE"),
        (["--fujimi-baseline", "b.json"], "*--fujimi-baseline: there is no file */b.json; --fujimi-update makes it"),
        (
            ["--fujimi-baseline", "no/b.json", "--fujimi-update"],
            "*--fujimi-baseline: there is no directory */no; make it, or choose another",
        ),
        (["--fujimi-tolerance", "2"], "*'2': write a share from 0 to below 1, for example 0.01 for 1 %"),
    ],
)
def test_options_that_do_not_go_together_are_refused(suite: Suite, arguments: list[str], message: str) -> None:
    result = suite.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([message])


# what it costs those who do not use it


def test_plugin_imports_nothing_else_of_fujimi_before_it_is_used() -> None:
    program = (
        "import sys, fujimi_sim.pytest_plugin; "
        "print([name for name in ('numpy', 'simpy', 'torch', 'fujimi_core') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
