"""fujimi simulate: its table, its JSON, and what it refuses."""

import gc
import json
from pathlib import Path
from typing import Any

import pytest
from fujimi_core import workload_file
from fujimi_core.cli import main, parser
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job
from fujimi_core.offers import Model
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Workload

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def workload(job: Job, plugins: Plugins) -> Workload:
    """Of 4 ranks, 16 samples each."""
    return plugins.capture(job, 4)


@pytest.fixture
def workload_path(workload: Workload, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.jsonl"
    workload_file.save(workload, path)
    return path


def simulate(plugins: Plugins, *words: object) -> int:
    return main(["simulate", *map(str, words)], plugins)


# results


def test_table_has_a_row_a_size_and_says_whether_memory_fits(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "1,16,64") == 0
    written = capsys.readouterr()
    assert written.err == ""
    title, header, one, sixteen, all_of_it, memory, cost = written.out.splitlines()
    assert title == "tiny on toy: a prediction"
    assert header.split()[:4] == ["nodes", "ranks", "step", "compute"]
    assert one.split()[:4] == ["1", "1", "640", "ms"]
    assert one.split()[4:9] == ["100.0%", "0.0%", "0.0%", "100", "800"]
    assert one.split()[9:] == ["GFLOP/s", "80.0%", "100.0%", "4", "GiB"]
    assert sixteen.split()[0] == "16"
    assert all_of_it.split()[0] == "64"
    assert len({len(line) for line in (header, one, sixteen, all_of_it)}) == 1, "columns are aligned"
    shortage = "4 GiB of 1 GiB; other 100 %; try a machine whose devices have more memory"  # of one rank, of no kind
    assert memory == f"memory: DOES NOT FIT on 1 node: {shortage}"
    assert cost.startswith("simulated in ")


KEYS = (
    "nodes ranks step_s compute_s communication_s exposed_communication_s idle_s samples_per_s flops_per_s "
    "fraction_of_peak parallel_efficiency memory_bytes_per_rank memory_fits memory memory_shortage breakdown"
)


def test_json_has_these_keys_and_no_others(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "16,4,16", "--json") == 0
    written = capsys.readouterr()
    assert written.err == ""
    report = json.loads(written.out)
    assert list(report) == ["machine", "job", "points", "simulation"]
    assert (report["machine"], report["job"]) == ("toy", "tiny")
    assert [list(point) for point in report["points"]] == [KEYS.split()] * 2
    assert [point["nodes"] for point in report["points"]] == [16, 4]
    assert list(report["simulation"]) == ["cpu_s", "peak_rss_bytes"]


def test_json_of_what_does_not_fit_is_followed_by_a_word_on_stderr(
    job_file: Path, plugins: Plugins, capsys: Capture
) -> None:
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "2", "--json") == 0
    written = capsys.readouterr()
    assert json.loads(written.out)["points"][0]["memory_bytes_per_rank"] == 32 * 2**26
    said = "2 GiB of 1 GiB; other 100 %; try parallel.pipeline = 2 or parallel.tensor = 2"
    assert json.loads(written.out)["points"][0]["memory_shortage"] == said
    assert written.err == f"memory: DOES NOT FIT on 2 nodes: {said}\n"


def points(capsys: Capture) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["points"]
    return found


def test_workload_gives_what_its_job_gives_but_for_the_efficiency(
    job_file: Path, workload_path: Path, plugins: Plugins, capsys: Capture
) -> None:
    words = ["--machine", "toy", "--nodes", "4", "--json"]
    assert simulate(plugins, job_file, *words) == 0
    (of_job,) = points(capsys)
    assert simulate(plugins, workload_path, *words) == 0
    (of_workload,) = points(capsys)
    assert of_workload["parallel_efficiency"] == pytest.approx(0.16 / of_workload["step_s"])
    del of_job["parallel_efficiency"], of_workload["parallel_efficiency"]
    assert of_workload == of_job


def test_weak_keeps_the_batch_of_the_first_size(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "4,48", "--weak", "--json") == 0
    assert [point["compute_s"] for point in points(capsys)] == [pytest.approx(0.16)] * 2


def test_breakdown_of_every_size_follows_the_table(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "16,64", "--breakdown") == 0
    lines = capsys.readouterr().out.splitlines()
    starts = [lines.index(line) for line in lines if line.startswith(("16 nodes: ", "64 nodes: "))]
    assert len(starts) == 2
    # 8 GFLOP a sample at 0.8 TFLOP/s, 4 samples and 1 sample of 64
    products = [lines[start + 2].split() for start in starts]
    assert [row[:3] for row in products] == [["aten.mm", "forward", "1"]] * 2
    assert [row[5:7] for row in products] == [["40", "ms"], ["10", "ms"]]
    assert all(lines[start + 3].startswith("all_reduce of 1 MB along dp by ") for start in starts)


def test_seed_changes_the_noise_and_nothing_else(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    found = []
    for seed in (1, 1, 2):
        assert simulate(plugins, job_file, "--machine", "noisy", "--nodes", "16", "--seed", seed, "--json") == 0
        found += points(capsys)
    assert found[0] == found[1]
    assert found[0]["step_s"] != found[2]["step_s"]


def test_plot_is_written_beside_the_table(job_file: Path, tmp_path: Path, plugins: Plugins, capsys: Capture) -> None:
    path = tmp_path / "curve.json"
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "16", "--json", "--plot", path) == 0
    written = capsys.readouterr()
    assert json.loads(path.read_text()) == json.loads(written.out)
    assert written.err == f"plot: {path}\n"


def test_page_and_trace_show_the_most_nodes(job_file: Path, tmp_path: Path, plugins: Plugins, capsys: Capture) -> None:
    page, trace = tmp_path / "report.html", tmp_path / "trace.json"
    words = ["--machine", "toy", "--nodes", "4,16,1", "--report", page, "--trace", trace]
    assert simulate(plugins, job_file, *words) == 0
    assert capsys.readouterr().err == f"trace: {trace}\nreport: {page}\n"
    table = json.loads(trace.read_text())
    assert table["otherData"]["title"] == "tiny on 16 nodes of A toy"
    spent = [event for event in table["traceEvents"] if event["ph"] == "X"]
    # 4 samples of 10 ms, and the all-reduce of 1 MB that follows
    assert [(event["name"], event["tid"]) for event in spent] == [
        ("aten.mm", 0),
        ("waits for the end of the step", 0),
        ("all_reduce 1 MB along dp", 1),
    ]
    assert spent[0]["dur"] == pytest.approx(40_000)
    text = page.read_text()
    data = json.loads(text.partition('id="report">')[2].partition("</script>")[0])
    assert [point["nodes"] for point in data["points"]] == [4, 16, 1]
    assert data["timeline"]["nodes"] == data["network"]["nodes"] == 16
    assert [each["name"] for each in data["network"]["interfaces"]] == ["interface", "injection", "ejection"]


def test_traces_of_a_job_take_the_time_that_the_job_takes(
    job_file: Path, tmp_path: Path, plugins: Plugins, capsys: Capture
) -> None:
    folder = tmp_path / "traces"
    words = ["--machine", "noisy", "--nodes", "4", "--json"]
    assert simulate(plugins, job_file, *words, "--chakra", folder) == 0
    written = capsys.readouterr()
    assert written.err.splitlines()[-1] == f"chakra: 4 traces in {folder}"
    assert simulate(plugins, folder, *words) == 0
    (of_job,), (of_traces,) = json.loads(written.out)["points"], points(capsys)
    del of_job["parallel_efficiency"], of_traces["parallel_efficiency"]
    assert of_traces == of_job


def test_garbage_is_collected_again_afterwards(job_file: Path, plugins: Plugins) -> None:
    during = []

    class Watch:
        @hookimpl(tryfirst=True)
        def fujimi_capture(self, job: Job, model: Model, ranks: int) -> Workload | None:
            during.append(gc.isenabled())
            return None

    plugins.register(Watch(), "watch")
    assert gc.isenabled()
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "1") == 0
    assert simulate(plugins, job_file, "--machine", "toy", "--nodes", "65") == 2
    assert during == [False]
    assert gc.isenabled()


def test_options_are_these(plugins: Plugins) -> None:
    arguments = vars(parser(plugins).parse_args(["simulate", "job.toml", "--machine", "toy", "--nodes", "1,64"]))
    del arguments["command"]
    assert arguments == {
        "job": Path("job.toml"),
        "machine": "toy",
        "nodes": [1, 64],
        "set": [],
        "seed": 0,
        "weak": False,
        "breakdown": False,
        "json": False,
        "plot": None,
        "report": None,
        "trace": None,
        "chakra": None,
    }


# what is refused: in words, on stderr, with exit code 2 and nothing on stdout


def refused(plugins: Plugins, capsys: Capture, *words: object) -> str:
    assert simulate(plugins, *words) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert "Traceback" not in written.err
    return written.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--machine tyo --nodes 1", "Unknown machine: 'tyo'. Known: noisy, quad, toy. Did you mean 'toy'?"),
        ("--machine toy --nodes 0", "--nodes: '0': at least 1 node is needed"),
        ("--machine toy --nodes -1", "--nodes"),
        ("--machine toy --nodes 1,000", "'1,000': at least 1 node is needed; a comma begins another number"),
        ("--machine toy --nodes a", "--nodes: 'a': write whole numbers with commas between, for example 1,64"),
        ("--machine toy --nodes 1,,2", "--nodes: '1,,2': write whole numbers with commas between"),
        ("--machine toy --nodes 1.5", "--nodes: '1.5': write whole numbers"),
        ("--machine toy --nodes 1,65", "machine 'toy' has 64 nodes; 65 cannot be used: ask for 1 to 64"),
        (
            "--machine toy --nodes 48",
            "train.global_batch 64 does not divide into 48 data-parallel ranks; use a multiple of 48",
        ),
        ("--machine toy --nodes 1 --seed -1", "--seed: '-1': write a whole number that is not below 0"),
        ("--machine toy --nodes 1 --seed x", "--seed: 'x': write a whole number that is not below 0"),
        ("--nodes 1", "the following arguments are required: --machine"),
        ("--machine toy", "the following arguments are required: --nodes"),
    ],
)
def test_wrong_arguments_are_named_with_the_way_out(
    job_file: Path, plugins: Plugins, capsys: Capture, words: str, message: str
) -> None:
    assert message in refused(plugins, capsys, job_file, *words.split())


@pytest.mark.parametrize("name", ["missing.toml", "missing.jsonl"])
def test_missing_file_is_named(tmp_path: Path, plugins: Plugins, capsys: Capture, name: str) -> None:
    said = refused(plugins, capsys, tmp_path / name, "--machine", "toy", "--nodes", "1")
    assert f"cannot read the {'job' if name.endswith('toml') else 'workload'} {tmp_path / name}" in said


@pytest.mark.parametrize("name", ["folder", "folder.toml"])
def test_directory_is_no_job(tmp_path: Path, plugins: Plugins, capsys: Capture, name: str) -> None:
    (tmp_path / name).mkdir()
    said = refused(plugins, capsys, tmp_path / name, "--machine", "toy", "--nodes", "1")
    assert f"{tmp_path / name}" in said
    assert ("Is a directory" if name.endswith("toml") else "holds no Chakra traces") in said


def test_workload_that_was_cut_short_is_refused(workload_path: Path, plugins: Plugins, capsys: Capture) -> None:
    lines = workload_path.read_bytes().splitlines()
    workload_path.write_bytes(b"\n".join(lines[:-1]))
    said = refused(plugins, capsys, workload_path, "--machine", "toy", "--nodes", "4")
    assert f"{workload_path}: cut short after line {len(lines) - 1}; capture it again" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--nodes 4,8",
            "on 4, 8 nodes: {} is a workload, captured on 4 ranks; give one number of nodes, or the job file",
        ),
        ("--nodes 4 --weak", "weak scaling: {} is a workload, captured on 4 ranks; give one number of nodes"),
        ("--nodes 8", "workload 'tiny' has 4 ranks, but 8 nodes of 'toy' have 8 devices: use --nodes 4, or capture"),
    ],
)
def test_workload_has_one_size(
    workload_path: Path, plugins: Plugins, capsys: Capture, words: str, message: str
) -> None:
    said = refused(plugins, capsys, workload_path, "--machine", "toy", *words.split())
    assert message.format(workload_path) in said


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("curve.pdf", "Unknown kind of file: '.pdf'. Known: .json, .png, .svg."),
        ("curve", "Unknown kind of file: ''. Known: .json, .png, .svg."),
        ("nowhere/curve.png", "there is no directory {}/nowhere; make it, or choose another"),
        ("tiny.toml/curve.png", "there is no directory {}/tiny.toml; make it, or choose another"),
        ("taken.png", "this is a directory; add the name of a file"),
    ],
)
def test_plot_that_cannot_be_drawn_is_refused_before_anything_is_captured(
    job_file: Path, tmp_path: Path, plugins: Plugins, capsys: Capture, capture: Any, name: str, message: str
) -> None:
    (tmp_path / "taken.png").mkdir()
    said = refused(plugins, capsys, job_file, "--machine", "toy", "--nodes", "1", "--plot", tmp_path / name)
    assert said == f"fujimi: error: --plot {tmp_path / name}: {message.format(tmp_path)}\n"
    assert capture.asked == []


@pytest.mark.parametrize(
    ("option", "name", "message"),
    [
        ("--report", "page.pdf", "Unknown kind of file: '.pdf'. Known: .html."),
        ("--plot", "page.html", "Unknown kind of file: '.html'. Known: .json, .png, .svg."),
        ("--trace", "trace.et", "Unknown kind of file: '.et'. Known: .json."),
        ("--trace", "nowhere/trace.json", "there is no directory {}/nowhere; make it, or choose another"),
        ("--chakra", "nowhere/traces", "there is no directory {}/nowhere; make it, or choose another"),
        ("--chakra", "tiny.toml", "this is a file; give a directory"),
    ],
)
def test_file_that_cannot_be_written_is_refused_before_anything_is_captured(
    job_file: Path,
    tmp_path: Path,
    plugins: Plugins,
    capsys: Capture,
    capture: Any,
    option: str,
    name: str,
    message: str,
) -> None:
    said = refused(plugins, capsys, job_file, "--machine", "toy", "--nodes", "1", option, tmp_path / name)
    assert said == f"fujimi: error: {option} {tmp_path / name}: {message.format(tmp_path)}\n"
    assert capture.asked == []


def test_plot_without_permission_is_refused(
    job_file: Path, tmp_path: Path, plugins: Plugins, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)
    said = refused(plugins, capsys, job_file, "--machine", "toy", "--nodes", "1", "--plot", tmp_path / "curve.png")
    assert "no permission to write it; choose another place" in said
