"""One module per API. Only this room knows a provider's spelling."""
