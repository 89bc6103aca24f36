"""What a failed request means: retry, give up, stop the run."""
