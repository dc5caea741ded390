# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Consumers as the inventory declares them, checked before a server is asked for any."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes import stopping

_KEYS = ("kind", "name", "selector", "namespace", "required")


@dataclasses.dataclass(frozen=True)
class Declared:
    """A consumer as the inventory declares it: by name or by selector."""

    kind: str
    namespace: str
    name: str | None
    selector: str | None
    required: bool

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name or self.selector}"


def declared_from(raw: t.Any, position: int, default_namespace: str | None) -> Declared:
    """One entry of ``component_consumers``. Raises InvalidInput naming the entry and the key."""
    where = f"consumer {position}"
    if not isinstance(raw, dict):
        raise InvalidInput(
            f"{where} is not a mapping", expected="kind, name or selector, namespace", found=repr(raw)[:80]
        )
    unknown = sorted(str(key) for key in raw if key not in _KEYS)
    if unknown:
        raise InvalidInput(f"{where} has an unknown key", expected=", ".join(_KEYS), found=", ".join(unknown))
    kind = str(raw.get("kind") or "")
    if kind not in stopping.CONSUMER_KINDS:
        raise InvalidInput(
            f"{where}: bad kind", expected=f"one of {', '.join(stopping.CONSUMER_KINDS)}", found=repr(raw.get("kind"))
        )
    name, selector = raw.get("name") or None, raw.get("selector") or None
    if (name is None) == (selector is None):
        raise InvalidInput(
            f"{where}: bad name", expected="either name or selector", found="both" if name else "neither"
        )
    namespace = raw.get("namespace") or default_namespace
    if not namespace:
        raise InvalidInput(f"{where} has no namespace", expected="namespace, or component_kubernetes_namespace")
    return Declared(
        kind, str(namespace), name and str(name), selector and str(selector), bool(raw.get("required", True))
    )
