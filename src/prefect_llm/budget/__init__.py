"""A run's budget: reserved per request, settled by usage, granted from a log that all processes share."""
