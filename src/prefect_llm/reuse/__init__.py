"""Answers that need not be paid again: of this run and of earlier ones."""
