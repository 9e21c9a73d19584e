"""Execution traces of MLCommons Chakra: written for other simulators, and read from them."""
