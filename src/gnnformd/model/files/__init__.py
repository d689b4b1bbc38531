"""Model files: weights and the model card."""
