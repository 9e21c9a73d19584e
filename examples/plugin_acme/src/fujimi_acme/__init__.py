"""The Acme Corporation's machine, pictures and command for Fujimi."""

from fujimi_acme.moire import render

__all__ = ["render"]
