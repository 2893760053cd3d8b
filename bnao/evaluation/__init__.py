"""Evaluation of genotypes: stand-alone training, and scores by shared weights."""
