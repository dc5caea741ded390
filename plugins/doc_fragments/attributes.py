# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module promises about check mode, diff mode and being run again."""

from __future__ import annotations


class ModuleDocFragment:
    # For modules that change something.
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run says C(changed=false).
    support: full
"""

    # For modules that only look; use the fragment sre.runbooks.attributes.info_module.
    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: This module only looks.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: N/A
    details: This module only looks.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run says C(changed=false).
    support: full
    details: This module only looks.
"""

    # For modules that write nothing but bookkeeping (proofs, leases, timelines), which is never a change.
    BOOKKEEPING = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details: Nothing is written in check mode.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: N/A
    details: Bookkeeping is never a change.
  idempotent:
    description: When run twice in a row outside check mode with the same arguments, the second run says C(changed=false).
    support: full
    details: Bookkeeping is never a change.
"""
