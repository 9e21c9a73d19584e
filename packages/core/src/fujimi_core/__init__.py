"""Nouns, hooks and command line of Fujimi.

The names here are imported when they are first asked for: who needs one module does not wait for all.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_MODULES = {
    "FujimiError": "errors",
    "Job": "job",
    "JobError": "errors",
    "Machine": "machine",
    "MachineError": "errors",
    "Mesh": "mesh",
    "Placement": "placement",
    "PluginError": "errors",
    "Plugins": "plugins",
    "RunError": "errors",
    "Workload": "workload",
    "WorkloadError": "errors",
    "hookimpl": "hookspecs",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
