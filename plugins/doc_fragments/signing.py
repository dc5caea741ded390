# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options about signatures in the format of minisign."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  signing_key:
    description:
      - The text of a minisign secret key without a password, with which the documents that are written are signed.
      - Falls back to the environment variable E(SRE_RUNBOOKS_SIGNING_KEY).
      - Without a key nothing is signed. Signing needs the Python library cryptography.
    type: str
  signing_key_file:
    description:
      - The file of that key, on the host where the task runs.
      - Falls back to the environment variable E(SRE_RUNBOOKS_SIGNING_KEY_FILE).
    type: path
  signing_public_keys:
    description:
      - The minisign public keys (V(RW...)) whose signatures are believed, those of every identity that signs.
      - A document whose signature is by another key, or does not fit, is refused.
    type: list
    elements: str
    default: []
  require_signature:
    description:
      - Refuse a document that bears no signature; such a recovery point counts as damaged and such a proof as none.
      - Set it once every recovery point that is to be restored is signed.
    type: bool
    default: false
"""

    # For modules that only read: sre.runbooks.signing.trust.
    TRUST = r"""
options:
  signing_public_keys:
    description:
      - The minisign public keys (V(RW...)) whose signatures are believed, those of every identity that signs.
      - A document whose signature is by another key, or does not fit, is refused.
    type: list
    elements: str
    default: []
  require_signature:
    description:
      - Refuse a document that bears no signature; such a recovery point counts as damaged and such a proof as none.
      - Set it once every recovery point that is to be restored is signed.
    type: bool
    default: false
"""

    # For modules that sign and need not choose whom to believe: sre.runbooks.signing.key.
    KEY = r"""
options:
  signing_key:
    description:
      - The text of a minisign secret key without a password, with which the documents that are written are signed.
      - Falls back to the environment variable E(SRE_RUNBOOKS_SIGNING_KEY).
      - Without a key nothing is signed. Signing needs the Python library cryptography.
    type: str
  signing_key_file:
    description:
      - The file of that key, on the host where the task runs.
      - Falls back to the environment variable E(SRE_RUNBOOKS_SIGNING_KEY_FILE).
    type: path
"""
