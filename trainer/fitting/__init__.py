"""Training of networks: recipes, the loop, and the score's projection and prototypes."""
