"""Entry point of ``import torch``: makes torch.distributed find the backend "mpi"."""

import importlib
import importlib.util
from datetime import timedelta
from typing import Any


class ProcessGroupMPI:
    """Stands where torch looks for its own class, which its wheels lack; loads the real thing when a group is made."""

    @staticmethod
    def create(ranks: list[int]) -> Any:
        """Make a group.

        Args:
            ranks: Of its members, by which only they call; of all ranks if empty.

        Raises:
            RunError: If no MPI library can be loaded.
        """
        from fujimi_parallel.mpi.library import load_mpi

        load_mpi()
        from fujimi_parallel.mpi.creation import group_of

        return group_of(ranks)


def register() -> None:
    """Put the backend "mpi" where torch looks for it; a torch that has its own MPI is left as it is.

    ``import torch`` calls this, so it loads nothing, and never raises: a torch whose insides look different just does
    not get the backend.
    """
    try:
        c10d: Any = importlib.import_module("torch.distributed.distributed_c10d")
    except ImportError:  # torch was built without torch.distributed
        return
    if hasattr(c10d, "ProcessGroupMPI") or not hasattr(c10d, "_MPI_AVAILABLE"):
        return
    c10d.ProcessGroupMPI = ProcessGroupMPI
    c10d._MPI_AVAILABLE = importlib.util.find_spec("mpi4py") is not None
    _allow_groups_of_members_only(c10d)


def _allow_groups_of_members_only(c10d: Any) -> None:
    """Let ``new_group(..., use_local_synchronization=True)`` make groups; torch refuses it to its own MPI."""
    original = getattr(c10d, "_new_group_with_tag", None)
    if original is None:
        return

    def new_group_with_tag(
        ranks: list[int] | None = None,
        timeout: timedelta | None = None,
        backend: str | None = None,
        *arguments: Any,
        use_local_synchronization: bool = False,
        **options: Any,
    ) -> Any:
        if use_local_synchronization and ranks is not None and (backend or c10d.get_backend()) == "mpi":
            from fujimi_parallel.mpi.creation import group_of_members

            return group_of_members(ranks, sort=options.get("sort_ranks", True))
        options["use_local_synchronization"] = use_local_synchronization
        return original(ranks, timeout, backend, *arguments, **options)

    c10d._new_group_with_tag = new_group_with_tag
