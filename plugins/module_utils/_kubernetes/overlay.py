# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A live object with exactly its recorded fields made as recorded, to replace it as a whole.

Server-side apply leaves what others have added; a replacement does not. What the server itself has set stays as it is,
so that nothing but the recorded content changes.
"""

from __future__ import annotations

import copy
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.compare import item_key


def overlay(desired: t.Any, content: t.Any, live: t.Any) -> t.Any:
    """``live`` with its content made ``desired``.

    :arg content: what of ``live`` is content, as :func:`fields.desired` returns it.
    """
    if desired == content and live is not None:
        return copy.deepcopy(live)
    if isinstance(desired, dict) and isinstance(live, dict):
        kept = content if isinstance(content, dict) else {}
        merged = {
            name: copy.deepcopy(value) for name, value in live.items() if name not in desired and name not in kept
        }
        for name, value in desired.items():
            if value is not None:
                merged[name] = overlay(value, kept.get(name), live.get(name))
        return merged
    if isinstance(desired, list) and isinstance(live, list):
        return _overlay_list(desired, content if isinstance(content, list) else [], live)
    return copy.deepcopy(desired)


def _overlay_list(desired: list[t.Any], content: list[t.Any], live: list[t.Any]) -> list[t.Any]:
    """Item by item where something names them; items that only the server knows stay at the end."""
    identify = item_key(desired, live)
    if identify is None:
        return [*copy.deepcopy(desired), *(copy.deepcopy(item) for item in live if _is_servers(item, desired, content))]
    contents = {identify(item): item for item in content if isinstance(item, dict)}
    lives = {identify(item): item for item in live}
    wanted = {identify(item) for item in desired}
    merged = [overlay(item, contents.get(identify(item)), lives.get(identify(item))) for item in desired]
    others = [item for name, item in lives.items() if name not in wanted and name not in contents]
    return [*merged, *copy.deepcopy(others)]


def _is_servers(item: t.Any, desired: list[t.Any], content: list[t.Any]) -> bool:
    # Without names only plain values, such as finalizers, can be told to be the server's.
    return isinstance(item, str) and item not in desired and item not in content
