"""Capture: one step of a rank of any world, without data, arithmetic or memory."""
