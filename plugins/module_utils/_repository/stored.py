# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a manifest lists, found again in the store: the recorded version, which no delete marker and no overwriting hides.

A repository that was copied elsewhere has other version ids, so where the recorded one is unknown the object of that key
is taken: whether it is the right one is not for its version to say but for its length and its hash.
"""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectMissing

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import StoredObject
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import ObjectStat, Store


def open_stored(store: Store, stored: StoredObject, length: int | None = None) -> t.BinaryIO:
    """Read a manifest's object from its beginning, at most ``length`` bytes. Raises :class:`ObjectMissing`."""
    if stored.version_id is not None:
        try:
            return store.open(stored.key, length=length, version=stored.version_id)
        except ObjectMissing:
            pass
    return store.open(stored.key, length=length)


def stat_stored(store: Store, stored: StoredObject) -> ObjectStat:
    """As :func:`open_stored`, for :meth:`Store.stat`."""
    if stored.version_id is not None:
        try:
            return store.stat(stored.key, version=stored.version_id)
        except ObjectMissing:
            pass
    return store.stat(stored.key)
