"""The model bundle and its score: reading, checking and evaluating boosted trees."""
