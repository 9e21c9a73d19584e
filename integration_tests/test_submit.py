"""Fugaku-LLM's job on its way to Fugaku: the scripts, and ranks placed as the simulator places them."""

import textwrap
import tomllib
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from fujimi_core import job as jobs
from fujimi_core.cli import main
from fujimi_core.errors import JobError
from fujimi_core.plan import plan_of
from fujimi_core.plugins import Plugins
from fujimi_core.records import build
from fujimi_core.submit_spec import SubmitSpec

ROOT = Path(__file__).parents[1]
EXAMPLE = "examples/fugaku_llm_13b.toml"
GOLDEN = ROOT / "plugins/a64fx/tests/fugaku_llm_13b"


@pytest.fixture
def submitted(tmp_path, monkeypatch, capsys):
    """What ``fujimi submit`` leaves behind, where ``pjsub`` is a program that says what it got."""
    pjsub = tmp_path / "bin/pjsub"
    pjsub.parent.mkdir()
    pjsub.write_text('#!/bin/bash\necho "$@"\n')
    pjsub.chmod(0o755)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.setenv("PATH", f"{pjsub.parent}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    assert main(["submit", EXAMPLE, "--scheduler", "pjm"]) == 0
    assert capsys.readouterr().out == "runs/fugaku_llm_13b/submit/job.sh\n"
    return tmp_path / "runs/fugaku_llm_13b/submit"


def test_fugaku_llm_is_submitted_with_the_agreed_scripts_and_its_groups_in_tofu_units(submitted):
    for name in ("job.sh", "rank.sh"):
        assert (submitted / name).read_text() == (GOLDEN / name).read_text()
    lines = (submitted / "ranks.txt").read_text().splitlines()
    places = np.array([line.strip("()").split(",") for line in lines], np.int64)
    plugins, mesh = Plugins.installed(), plan_of(jobs.load(ROOT / EXAMPLE), 13_824).mesh
    machine = plugins.machine("fugaku")
    part = plugins.topology(machine).allocate(13_824, shape=(48, 6, 48))
    nodes = part.nodes[np.ravel_multi_index(tuple(places.T), (48, 6, 48))]
    simulated = plugins.place_ranks(mesh, machine, part, 13_824)
    assert nodes.tolist() == simulated.nodes.tolist()
    units = nodes[mesh.groups(("tp",))] // 12
    assert mesh.groups(("tp",)).shape == (2_304, 6)
    assert (units == units[:, :1]).all()


def test_every_key_of_the_section_is_in_the_documentation():
    page = (ROOT / "docs/submit.md").read_text()
    section = page[page.index("    [submit]") : page.index("Before anything")]
    spec = build(SubmitSpec, tomllib.loads(textwrap.dedent(section))["submit"], where="submit.md", error=JobError)
    assert spec.extents == (4, 6, 16)
    missing = {field.name for field in fields(SubmitSpec)} - {line.split()[0] for line in section.splitlines() if line}
    assert missing == set()


@pytest.mark.parametrize("scheduler", ["pjm", "slurm"])
def test_job_without_a_request_is_told_what_to_add(capsys, scheduler):
    job = str(ROOT / "examples/vit_base_visualatom.toml")
    assert main(["submit", job, "--scheduler", scheduler, "--dry-run"]) == 2
    assert "there is no section [submit]; add one: nodes = 4" in capsys.readouterr().err
