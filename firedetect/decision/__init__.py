"""From scores and hard limits to a fire level; from faults to health. Pure, and without a model."""
