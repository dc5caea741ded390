# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options about the passphrase of pgBackRest's repository."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  cipher_pass:
    description:
      - The passphrase with which pgBackRest encrypts (AES-256-CBC). Without one, nothing is encrypted.
      - pgBackRest cannot change it. Another one begins a new generation, which is a new directory and a full backup.
      - Falls back to the environment variable E(SRE_RUNBOOKS_PITR_CIPHER_PASS).
    type: str
  cipher_pass_file:
    description:
      - File on the host where the module runs whose first line is the passphrase; used when O(cipher_pass) is not given.
      - It must not be readable by everyone.
    type: path
  previous_cipher_pass_files:
    description:
      - Files with earlier passphrases, as long as recovery points taken with them are kept.
    type: list
    elements: path
    default: []
"""
