"""One run: opened, asked chunk by chunk, finished."""
