# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many small reads, as many of them at once as the store is good for."""

from __future__ import annotations

import concurrent.futures
import typing as t

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

Item = t.TypeVar("Item")
Found = t.TypeVar("Found")


def read_at_once(store: Store, read: t.Callable[[Item], Found], items: t.Sequence[Item]) -> list[Found]:
    """What ``read`` makes of each item, in the order of the items. The first exception is raised."""
    threads = min(len(items), store.parallel_reads)
    if threads <= 1:
        return [read(item) for item in items]
    with concurrent.futures.ThreadPoolExecutor(threads, "read-at-once") as pool:
        return list(pool.map(read, items))
