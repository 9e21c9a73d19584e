"""Machines with A64FX processors for Fujimi."""

from fujimi_a64fx.plugin import fujimi_machines

__all__ = ["fujimi_machines"]
