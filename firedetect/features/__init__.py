"""Arrays in, numbers out: the 18 features of the model contract and their context columns."""
