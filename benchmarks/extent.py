"""How much is measured: `BENCH=full` for all of it, else a quick form."""

from __future__ import annotations

import os

FULL = os.environ.get("BENCH") == "full"
