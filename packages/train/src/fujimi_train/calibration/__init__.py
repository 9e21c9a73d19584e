"""Measures the machine that this runs on, and describes it as a machine to simulate on."""
