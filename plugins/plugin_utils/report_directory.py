# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where reports go on the controller."""

from __future__ import annotations

import os

#: Below the working directory, where nobody said where reports go.
_DIRECTORY = "reports"


def report_directory(given: str, here: str) -> str | None:
    """Where reports go: what was ``given`` as seen from ``here``; for nothing, ``reports`` there if it can be written to.

    A module would take a relative path for one below the playbook's directory, which is the installed collection's.
    """
    if given:
        return os.path.join(here, os.path.expanduser(given))
    directory = os.path.join(here, _DIRECTORY)
    place = directory if os.path.isdir(directory) else here
    # A project of AWX is read-only and its container forgotten: there the repository keeps the report.
    return directory if os.access(place, os.W_OK | os.X_OK) else None
