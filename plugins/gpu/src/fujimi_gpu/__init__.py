"""GPU machines for Fujimi."""

from fujimi_gpu.plugin import fujimi_machines

__all__ = ["fujimi_machines"]
