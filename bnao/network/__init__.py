"""Networks of genotypes: stacks of cells, parameters, sizes and trained weights."""
