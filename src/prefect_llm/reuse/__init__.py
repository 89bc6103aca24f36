"""Answers that need not be paid for again: from this run and from earlier ones."""
