"""The stacks: core, fleet, lake, flow, and ml for who wants it."""
