"""Nouns, hooks and command line of Fujimi."""

from fujimi_core.errors import FujimiError, JobError, MachineError, PluginError, RunError, WorkloadError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.placement import Placement
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Workload

__all__ = [
    "FujimiError",
    "Job",
    "JobError",
    "Machine",
    "MachineError",
    "Mesh",
    "Placement",
    "PluginError",
    "Plugins",
    "RunError",
    "Workload",
    "WorkloadError",
    "hookimpl",
]
