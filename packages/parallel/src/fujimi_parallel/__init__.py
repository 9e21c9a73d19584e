"""Data parallelism over ranks that an MPI launcher started, and its capture at any world size."""
