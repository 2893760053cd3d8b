"""Search spaces (Sec. 2): genotypes, their spaces, notations and drawings, and published cells."""
