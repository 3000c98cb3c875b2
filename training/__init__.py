"""Training: recipes, losses, the loop, its log and curves."""
