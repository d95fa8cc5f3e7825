"""Imports onnxruntime so that it tells nobody: its wheels send events of its use to its maker unless told not to."""

import os
from types import ModuleType


def import_onnxruntime() -> ModuleType:
    """Return the module; every import of it goes through this.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    # Read once, while the library initializes; `disable_telemetry_events` comes too late for its first event and for
    # the identifier that it writes into the user's cache.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

    module: ModuleType = onnxruntime
    return module
