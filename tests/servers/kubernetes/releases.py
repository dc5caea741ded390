# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Releases as Helm 3 keeps them: a document, compressed, in base64, in an object with its labels."""

from __future__ import annotations

import base64
import gzip
import json
import typing as t

#: A value that somebody installed the chart with.
SECRET_VALUE = "pAssword-of-the-chart"


def release_object(
    name: str, revision: int, status: str = "deployed", namespace: str = "shop", kind: str = "Secret"
) -> dict[str, t.Any]:
    """The object of one revision, as ``helm install`` leaves it."""
    release = {
        "name": name,
        "namespace": namespace,
        "version": revision,
        "info": {
            "first_deployed": "2026-11-21T05:10:00Z",
            "last_deployed": "2026-11-21T05:10:00Z",
            "deleted": "",
            "description": "Install complete",
            "status": status,
        },
        "chart": {
            "metadata": {
                "apiVersion": "v2",
                "name": "web-chart",
                "version": "1.2.3",
                "appVersion": "2026.11",
            },
            "lock": None,
            "templates": [],
            "values": {"replicas": 1},
            "files": None,
        },
        "config": {"password": SECRET_VALUE},
        "manifest": "---\n# Source: web-chart/templates/settings.yaml\n",
    }
    text = base64.b64encode(gzip.compress(json.dumps(release).encode(), mtime=0)).decode()
    labels = {"owner": "helm", "name": name, "version": str(revision), "status": status, "modifiedAt": "1763701800"}
    obj: dict[str, t.Any] = {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": f"sh.helm.release.v1.{name}.v{revision}", "namespace": namespace, "labels": labels},
    }
    if kind == "Secret":
        return {**obj, "type": "helm.sh/release.v1", "data": {"release": base64.b64encode(text.encode()).decode()}}
    return {**obj, "data": {"release": text}}
