# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a module is asked to write: where the commands are to run, and in which formats; checked before anything is written."""

from __future__ import annotations

import os
import re
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.hosts import cron_files, systemd_files
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.platforms import (
    Cluster,
    Controller,
    awx_files,
    cronjob_files,
)
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.table import Entry, Place

#: The folders of each format.
FOLDERS = {
    "cron": ["cron"],
    "systemd": ["systemd"],
    "kubernetes": ["kubernetes"],
    "awx": ["awx", "awx/playbooks"],
}
#: What is required of those that need to know more than the table.
_NEEDED = {"kubernetes": "namespace and image", "awx": "organization, project and inventory"}
_USER = re.compile(r"[a-z_][a-z0-9_-]*\$?", re.IGNORECASE)


def asked_place(params: t.Mapping[str, t.Any]) -> Place:
    """Where the commands run, of a module's options.

    :raises InvalidInput: for an option that no file could hold.
    """
    if not params["environment_name"].isprintable():
        raise InvalidInput("bad environment_name", expected="one line", found=repr(params["environment_name"]))
    if not _USER.fullmatch(params["user"]):
        raise InvalidInput("not a user", expected="its name", found=repr(params["user"]))
    for name in ("project_dir", "executable"):
        if not params[name].startswith("/") or not params[name].isprintable():
            raise InvalidInput(f"bad {name}", expected="an absolute path", found=repr(params[name]))
    _check_lines("inventories", params["inventories"])
    return Place(
        environment=params["environment_name"],
        timezone=params["timezone"],
        directory=params["project_dir"],
        inventories=tuple(params["inventories"]),
        executable=params["executable"],
    )


def asked_files(params: t.Mapping[str, t.Any], entries: t.Sequence[Entry], place: Place) -> dict[str, str]:
    """Name → content of every file, in each of the formats of a module's options.

    :raises InvalidInput: for a format that needs to know more than it is told.
    """
    files: dict[str, str] = {}
    for chosen in params["formats"]:
        if chosen in _NEEDED and not params[chosen]:
            raise InvalidInput(
                f"nobody says what {chosen} needs",
                expected=f"the mapping schedules_{chosen} with {_NEEDED[chosen]} (docs/schedules.md)",
                found="nothing",
                next_command=f"set schedules_{chosen} in the inventory, then: the same command",
            )
        if chosen == "cron":
            files.update(cron_files(entries, place, params["user"]))
        elif chosen == "systemd":
            files.update(systemd_files(entries, place, params["user"]))
        elif chosen == "kubernetes":
            files.update(cronjob_files(entries, place, _cluster(params)))
        else:
            awx = {**params["awx"], "credentials": tuple(params["awx"]["credentials"])}
            files.update(awx_files(entries, place, Controller(**awx)))
    return files


def _cluster(params: t.Mapping[str, t.Any]) -> Cluster:
    """What there is in the container, of which this host knows nothing but what lies within the project."""
    given = params["kubernetes"]
    if not given["project_dir"].startswith("/"):
        raise InvalidInput("bad kubernetes.project_dir", expected="an absolute path", found=repr(given["project_dir"]))
    for name in ("project_dir", "executable", "inventories"):
        _check_lines(f"kubernetes.{name}", given[name] if isinstance(given[name], list) else [given[name]])
    for inventory in () if given["inventories"] else params["inventories"]:
        if inventory.startswith(("/", "~")) or os.path.normpath(inventory).split(os.sep)[0] == os.pardir:
            raise InvalidInput(
                "an inventory of this host is not in the container",
                expected="inventories within the project, or those of the container as kubernetes.inventories",
                found=repr(inventory),
                next_command=f"set schedules_kubernetes.inventories, as seen from {given['project_dir']}, in the inventory, "
                "then: the same command",
            )
    return Cluster(**{**given, "inventories": tuple(given["inventories"] or params["inventories"])})


def _check_lines(name: str, values: t.Sequence[str]) -> None:
    for value in values:
        if not value or not value.isprintable():
            raise InvalidInput(f"bad {name}", expected="one printable line", found=repr(value))
