"""Data, tensor, pipeline and sequence parallelism over any MPI, and its capture at any world size."""
