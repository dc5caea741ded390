"""How much the robustness suites run: a seeded sample, or with ``make soak`` every case."""

from __future__ import annotations

import os

SOAK = os.environ.get("SRE_RUNBOOKS_SOAK", "") == "1"
SEED = int(os.environ.get("SRE_RUNBOOKS_SEED", "20261121"))
