"""One module per wire format. Only this room knows a provider's spelling."""
