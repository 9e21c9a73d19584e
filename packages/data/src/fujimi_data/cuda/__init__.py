"""Pictures drawn on a GPU by CUDA, many at a time, the same as on processors."""
