"""What limits a provider's requests: rates, tokens, concurrency, shares of both."""
