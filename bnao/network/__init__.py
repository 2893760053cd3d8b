"""What is built of a genotype: its stack of cells, parameters, sizes, and what was trained."""
