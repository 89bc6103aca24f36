"""A run's budget: reserved per request, settled by usage, granted over processes."""
