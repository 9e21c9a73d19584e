"""Finds the plan of a job that is best on a machine."""
