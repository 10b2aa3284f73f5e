"""Parts that the stacks are made of."""
