"""How far a ranking can be trusted: one-shot scores, controllers and predictors against what is known."""
