"""Search strategies: Algorithm 1 and the controllers that propose genotypes."""
