"""A setting or a model tried on built-in fires and nuisances and on this detector's own history."""
