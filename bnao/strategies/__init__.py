"""How a search spends its steps: Algorithm 1 and those who propose."""
