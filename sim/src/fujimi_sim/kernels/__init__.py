"""How long operators take on a device."""
