"""The directory and the threads that runs' tests have."""

from tests.run.conftest import _no_engine_is_left, output, pool

__all__ = ["_no_engine_is_left", "output", "pool"]
