"""Faults on purpose. The short form runs with all other tests; `make chaos` runs the long one."""

import os

LONG = os.environ.get("COUNTERSIGN_CHAOS") == "long"
