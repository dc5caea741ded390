# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much the robustness suites run: a seeded sample, or with ``make soak`` every case."""

from __future__ import annotations

import os

SOAK = os.environ.get("SRE_RUNBOOKS_SOAK", "") == "1"
SEED = int(os.environ.get("SRE_RUNBOOKS_SEED", "20261121"))
