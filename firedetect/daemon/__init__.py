"""The running detector: tasks, queues, and the place where the parts are put together."""
