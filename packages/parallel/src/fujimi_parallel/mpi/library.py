"""The MPI library, loaded when it is needed."""

from typing import Any

from fujimi_core.errors import RunError


def load_mpi() -> Any:
    """Load ``mpi4py.MPI``, which starts MPI; only launched processes may do that.

    Raises:
        RunError: If no MPI library can be loaded.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as wrong:
        raise RunError(f"no MPI library can be loaded: {wrong}; 'pip install mpich' brings one") from None
    return MPI
