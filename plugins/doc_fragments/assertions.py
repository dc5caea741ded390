# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the component's operators want to see in a restored database."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  assertions:
    description:
      - SQL with expected results, asked of what was restored before anybody else uses it. All must hold.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What is asserted, in words.
        type: str
        required: true
      database:
        description: Recorded name of the database to ask; needed when several were restored.
        type: str
      query:
        description: One statement; it runs in a read-only transaction.
        type: str
        required: true
      expected:
        description: The answer as text, columns separated by tabs and rows by newlines.
        type: str
        required: true
"""
