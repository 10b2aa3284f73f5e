"""The cloud tier as code: stacks, their synthesised templates, and what deploys them."""
