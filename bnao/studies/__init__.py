"""Studies of how far a ranking can be trusted: one-shot scores, controllers and predictors against known accuracies."""
