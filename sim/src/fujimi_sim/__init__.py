"""Simulates training steps on machines that are described, not owned."""
