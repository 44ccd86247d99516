"""Training a model: recipes, the training loop, cross-fitting, the score, and the model file's content."""
