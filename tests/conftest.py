"""Makes the collection importable as ansible_collections.sre.runbooks, as Ansible itself sees it."""

from __future__ import annotations

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".local" / "collections"))
sys.path.insert(0, str(ROOT))
