"""Checkpoints that any number of ranks write and any other number reads."""

from fujimi_parallel.checkpoint.directory import newest, whole
from fujimi_parallel.checkpoint.exporting import export
from fujimi_parallel.checkpoint.parts import Part
from fujimi_parallel.checkpoint.reader import Checkpoint
from fujimi_parallel.checkpoint.writer import Writer

__all__ = ["Checkpoint", "Part", "Writer", "export", "newest", "whole"]
