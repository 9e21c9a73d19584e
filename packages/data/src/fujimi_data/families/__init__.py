"""Families of formula-driven pictures: one module each, and what they draw with."""
