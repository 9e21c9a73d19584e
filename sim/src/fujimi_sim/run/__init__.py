"""Whole training runs: start, steps, checkpoints, failures, energy."""
