"""The directory and the threads that runs' tests have, and the folders of the store's."""

from tests.run.conftest import _no_engine_is_left, output, pool
from tests.store.conftest import folder

__all__ = ["_no_engine_is_left", "folder", "output", "pool"]
