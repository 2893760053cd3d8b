"""What may vary: genotypes, the spaces they come from, their notations, pictures and published ones (Sec. 2)."""
