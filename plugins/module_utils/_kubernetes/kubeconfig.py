# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kubeconfigs as kubectl reads them: several files, the first wins, paths relative to their own file, one context chosen."""

from __future__ import annotations

import base64
import binascii
import contextlib
import importlib
import os
import tempfile
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput

_CHECK = "correct component_kubernetes_kubeconfig and component_kubernetes_context: kubectl config get-contexts"
_LISTS = (("clusters", "cluster"), ("contexts", "context"), ("users", "user"))
_FILES = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_LARGEST = 8 << 20


def read_kubeconfig(path: str, context: str | None) -> dict[str, t.Any]:
    """A document with one context, its cluster and its user.

    :arg path: one file or several as in ``KUBECONFIG``; those that do not exist are left out.
    :raises InvalidInput: there is none, it cannot be read, or has no such context.
    """
    present = [
        expanded for part in path.split(os.pathsep) if part and os.path.isfile(expanded := os.path.expanduser(part))
    ]
    if not present:
        raise InvalidInput("there is no kubeconfig", expected=f"a file at {path}", found="none", next_command=_CHECK)
    merged: dict[str, dict[str, dict[str, t.Any]]] = {name: {} for name, _item in _LISTS}
    current = context
    for file in present:
        document = _read(file)
        current = current or document.get("current-context") or None
        for name, item in _LISTS:
            for entry in document.get(name) or []:
                if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                    raise _unusable(path, f"an entry of {name} without a name in {file}")
                content = entry.get(item)
                merged[name].setdefault(entry["name"], _absolute(content if isinstance(content, dict) else {}, file))
    return _chosen(path, current, merged)


def _chosen(
    path: str, current: str | None, merged: t.Mapping[str, t.Mapping[str, dict[str, t.Any]]]
) -> dict[str, t.Any]:
    if not current or current not in merged["contexts"]:
        found = f"no context {current!r}" if current else "no current-context"
        known = ", ".join(sorted(merged["contexts"])) or "none at all"
        raise _unusable(path, f"{found}; it has {known}")
    chosen = merged["contexts"][current]
    cluster, user = str(chosen.get("cluster")), chosen.get("user")
    if cluster not in merged["clusters"]:
        raise _unusable(path, f"context {current!r} of a cluster {cluster!r} that it does not have")
    if user and user not in merged["users"]:
        raise _unusable(path, f"context {current!r} of a user {user!r} that it does not have")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "contexts": [{"name": current, "context": dict(chosen)}],
        "clusters": [{"name": cluster, "cluster": dict(merged["clusters"][cluster])}],
        "users": [{"name": user, "user": dict(merged["users"][user])}] if user else [],
    }


def _read(path: str) -> dict[str, t.Any]:
    yaml: t.Any = importlib.import_module("yaml")
    try:
        with open(path, "rb") as file:
            content = file.read(_LARGEST + 1)
        document = yaml.safe_load(content) if len(content) <= _LARGEST else None
    except OSError as error:
        raise _unusable(path, str(error.strerror)) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        document = None  # the error would quote the line that it stumbles on, which may be a key's
    if not isinstance(document, dict):
        raise _unusable(path, "something that is no YAML mapping")
    return document


def _absolute(content: dict[str, t.Any], file: str) -> dict[str, t.Any]:
    directory = os.path.dirname(os.path.abspath(file))
    absolute = {
        key: os.path.join(directory, content[key])
        for key in _FILES
        if isinstance(content.get(key), str) and content[key]
    }
    return {**content, **absolute}


def _unusable(path: str, found: str) -> InvalidInput:
    return InvalidInput(
        "the kubeconfig cannot be used",
        expected=f"a kubeconfig with a usable context at {path}",
        found=found,
        next_command=_CHECK,
    )


def keep_keys_in_memory(stack: contextlib.ExitStack, document: dict[str, t.Any]) -> None:
    """Replace the keys and certificates that a kubeconfig holds by paths of files that are on no disk.

    The official client would write them below /tmp and remove them at its end, which a killed process never reaches.

    :arg stack: closes those files.
    """
    for entries, item in (("clusters", "cluster"), ("users", "user")):
        for entry in document[entries]:
            content = entry[item]
            for key in _FILES:
                data = content.pop(f"{key}-data", None)
                if data:
                    content[key] = in_memory(stack, _decoded(key, data))


def in_memory(stack: contextlib.ExitStack, content: bytes) -> str:
    """A path under which OpenSSL reads ``content`` for as long as ``stack`` is open."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("sre-runbooks", os.MFD_CLOEXEC)
        stack.callback(os.close, descriptor)
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
    else:  # no such thing outside Linux
        descriptor, path = tempfile.mkstemp(prefix="sre-runbooks-")
        stack.callback(os.unlink, path)
        stack.callback(os.close, descriptor)
    os.write(descriptor, content)
    return path


def _decoded(key: str, data: object) -> bytes:
    try:
        return base64.b64decode(str(data), validate=False)
    except (binascii.Error, ValueError):
        raise InvalidInput(
            "the kubeconfig cannot be used",
            expected=f"base64 in {key}-data",
            found="something else",
            next_command=_CHECK,
        ) from None
