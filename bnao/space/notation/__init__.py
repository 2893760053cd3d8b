"""Genotypes as text: a file for each notation, and how each is recognised."""
