"""Training: one loop over a strategy's replicas, exact checkpoints, and what follows the last step."""
