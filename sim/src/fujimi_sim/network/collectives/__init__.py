"""Algorithms for collectives: which messages go when."""
