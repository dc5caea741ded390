# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of the databases that stand beside a live one while and after it is replaced.

PostgreSQL cuts identifiers after 63 bytes in silence, so long names are shortened here, always in the same way.
"""

from __future__ import annotations

import hashlib
import typing as t

IDENTIFIER_BYTES = 63
_RESTORING = "__restoring"
_BEFORE = "__before_"


def restoring_name(database: str) -> str:
    """The database into which a recovery point is loaded: ``flights__restoring``."""
    return _joined(database, _RESTORING)


def before_name(database: str, point_id: str, taken: t.Container[str] = ()) -> str:
    """What a database is called once a recovery point has taken its place: ``flights__before_20261121T051000Z-a1b2``.

    :arg taken: names in use; a number is added when the point replaces its own earlier restore.
    """
    suffix, number = f"{_BEFORE}{point_id}", 1
    name = _joined(database, suffix)
    while name in taken:
        number += 1
        name = _joined(database, f"{suffix}_{number}")
    return name


def stands_beside(database: str) -> bool:
    """Whether a name is that of a database being restored or kept: no content of a component of its own."""
    return database.endswith(_RESTORING) or _BEFORE in database


def _joined(database: str, suffix: str) -> str:
    name = database + suffix
    if len(name.encode()) <= IDENTIFIER_BYTES:
        return name
    # The hash keeps two long names that begin alike apart.
    mark = "~" + hashlib.sha256(database.encode()).hexdigest()[:8]
    room = IDENTIFIER_BYTES - len((mark + suffix).encode())
    return database.encode()[:room].decode(errors="ignore") + mark + suffix
