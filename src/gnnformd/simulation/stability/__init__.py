"""Short simulations after a training, which show whether a model holds atoms together."""
