"""From readings and scores to a fire level, from faults to health. Pure, and without a model."""
