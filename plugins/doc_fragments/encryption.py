# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options about encryption with age."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  encryption_recipients:
    description:
      - The age recipients (V(age1...)) for which stored objects are encrypted. Empty means that they are not encrypted.
    type: list
    elements: str
    default: []
  encryption_identity:
    description:
      - The age identity (V(AGE-SECRET-KEY-1...)) with which encrypted objects are read.
      - Falls back to the environment variable E(SRE_RUNBOOKS_AGE_IDENTITY).
    type: str
  encryption_identity_file:
    description:
      - A file that holds age identities, on the host where the task runs.
      - Falls back to the environment variable E(SRE_RUNBOOKS_AGE_IDENTITY_FILE).
    type: path
"""

    # For modules that only read: sre.runbooks.encryption.identity.
    IDENTITY = r"""
options:
  encryption_identity:
    description:
      - The age identity (V(AGE-SECRET-KEY-1...)) with which encrypted objects are read.
      - Falls back to the environment variable E(SRE_RUNBOOKS_AGE_IDENTITY).
    type: str
  encryption_identity_file:
    description:
      - A file that holds age identities, on the host where the task runs.
      - Falls back to the environment variable E(SRE_RUNBOOKS_AGE_IDENTITY_FILE).
    type: path
"""

    # For modules that look into headers, where the old and the new keys are needed: sre.runbooks.encryption.rotation.
    ROTATION = r"""
options:
  encryption_recipients:
    description:
      - The age recipients (V(age1...)) for which objects are encrypted from now on, and with which every recovery point
        is to be opened.
    type: list
    elements: str
    default: []
  encryption_identity:
    description:
      - The age identities (V(AGE-SECRET-KEY-1...)) with which encrypted objects are opened, one a line.
      - Falls back to the environment variable E(SRE_RUNBOOKS_AGE_IDENTITY).
    type: str
  encryption_identity_file:
    description:
      - A file that holds age identities, on the host where the task runs.
      - Falls back to the environment variable E(SRE_RUNBOOKS_AGE_IDENTITY_FILE).
    type: path
  encryption_identity_files:
    description:
      - Further files with age identities, such as that of the old key while keys are rotated.
    type: list
    elements: path
    default: []
requirements:
  - the Python library cryptography, 38 or newer
"""
