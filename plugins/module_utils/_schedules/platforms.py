# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schedules of a platform: CronJobs of Kubernetes, or job templates and schedules of AWX."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible.module_utils.common.yaml import HAS_YAML, yaml_dump

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._schedules.table import Entry, Place

#: A Job of a CronJob appends its number to the name.
_NAME_LIMIT = 52


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Where CronJobs run.

    :ivar image: an execution environment with this collection.
    :ivar project_dir: the project in the container. :ivar inventories: as seen from there.
    :ivar executable: the program in the container, found in the image's ``PATH`` where it is no path.
    :ivar config_map: one that holds the inventory, mounted as the project; without it the image has the project.
    :ivar secret: one whose keys become environment variables.
    """

    namespace: str
    image: str
    project_dir: str
    inventories: tuple[str, ...]
    executable: str
    service_account: str = ""
    config_map: str = ""
    secret: str = ""


@dataclasses.dataclass(frozen=True)
class Controller:
    """What AWX calls the things that a job template needs. Empty ones are left out."""

    organization: str
    project: str
    inventory: str
    execution_environment: str = ""
    credentials: tuple[str, ...] = ()


def cronjob_files(entries: t.Sequence[Entry], place: Place, cluster: Cluster) -> dict[str, str]:
    """A CronJob for each line; what is not enabled is suspended. Nothing in it is a path of this host."""
    inside = dataclasses.replace(
        place, directory=cluster.project_dir, inventories=cluster.inventories, executable=cluster.executable
    )
    return {
        f"kubernetes/{place.slug}-{entry.name}.yml": _written(_cronjob(entry, inside, cluster), place)
        for entry in entries
    }


def awx_files(entries: t.Sequence[Entry], place: Place, controller: Controller) -> dict[str, str]:
    """A playbook that puts job templates and schedules into AWX, and the playbooks that those start in the project."""
    tasks = [task for entry in entries for task in _awx_tasks(entry, place, controller)]
    play = {
        "name": f"Put the schedules of {place.environment} into AWX",
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": tasks,
    }
    files = {f"awx/configure_{place.slug}.yml": _written(_literally([play]), place)}
    for runbook in sorted({entry.runbook for entry in entries}):
        content = [{"name": f"Play {runbook}", "import_playbook": f"sre.runbooks.{runbook}"}]
        files[f"awx/{_playbook(runbook, place)}"] = _written(content, place)
    return files


def _cronjob(entry: Entry, place: Place, cluster: Cluster) -> dict[str, t.Any]:
    labels = {"app.kubernetes.io/part-of": "sre-runbooks", "sre-runbooks/environment": place.slug}
    container: dict[str, t.Any] = {
        "name": "runbook",
        "image": cluster.image,
        "command": [_literal(place.executable)],
        "args": [_literal(word) for word in entry.arguments(place)],
        "workingDir": place.directory,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    pod: dict[str, t.Any] = {"restartPolicy": "Never", "containers": [container]}
    if cluster.service_account:
        pod["serviceAccountName"] = cluster.service_account
    if cluster.secret:
        container["envFrom"] = [{"secretRef": {"name": cluster.secret}}]
    if cluster.config_map:
        pod["volumes"] = [{"name": "project", "configMap": {"name": cluster.config_map}}]
        container["volumeMounts"] = [{"name": "project", "mountPath": place.directory, "readOnly": True}]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {
            "name": _object_name(entry, place),
            "namespace": cluster.namespace,
            "labels": labels,
            "annotations": {"sre-runbooks/description": entry.description},
        },
        "spec": {
            "schedule": entry.calendar.cron(),
            "timeZone": place.timezone,
            # Leases would refuse a second run anyhow, and a run that failed is for people and the next one.
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 600,
            "suspend": not entry.enabled,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 10,
            "jobTemplate": {
                "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": labels}, "spec": pod}},
            },
        },
    }


def _literal(word: str) -> str:
    """A word of a container's command, in which ``$(NAME)`` is a variable and ``$$`` a dollar sign."""
    return word.replace("$", "$$")


def _object_name(entry: Entry, place: Place) -> str:
    name = f"{place.slug}-{entry.name}"
    if len(name) > _NAME_LIMIT:
        raise InvalidInput(
            f"schedule {entry.name}: its CronJob would have too long a name",
            expected=f"at most {_NAME_LIMIT} characters with the environment's name",
            found=name,
        )
    return name


def _awx_tasks(entry: Entry, place: Place, controller: Controller) -> list[dict[str, t.Any]]:
    name = f"{place.environment} {entry.name}"
    template: dict[str, t.Any] = {
        "name": name,
        "description": entry.description,
        "organization": controller.organization,
        "project": controller.project,
        "inventory": controller.inventory,
        "playbook": _playbook(entry.runbook, place),
        "job_type": "run",
        "extra_vars": entry.variables,
        "limit": entry.limit,
        "execution_environment": controller.execution_environment,
        "credentials": list(controller.credentials),
        "allow_simultaneous": False,
    }
    schedule = {
        "name": name,
        "description": entry.description,
        "unified_job_template": name,
        "rrule": entry.calendar.rrule(place.timezone),
        "enabled": entry.enabled,
    }
    kept = {key: value for key, value in template.items() if value not in ("", {}, [])}
    return [
        {"name": f"Have the job template {name}", "awx.awx.job_template": kept},
        {"name": f"Have the schedule {name}", "awx.awx.schedule": schedule},
    ]


def _playbook(runbook: str, place: Place) -> str:
    """Each environment has playbooks of its own, as one that no longer needs a runbook takes its playbook along."""
    return f"playbooks/{place.slug}_{runbook}.yml"


class _Unsafe(str):
    """A text of a playbook in which Ansible is not to fill anything in."""


def _literally(content: t.Any) -> t.Any:
    """What AWX is to have as it is, and not as it would be filled in where the playbook is played."""
    if isinstance(content, dict):
        return {key: _literally(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_literally(item) for item in content]
    if isinstance(content, str) and any(mark in content for mark in ("{{", "{%", "{#")):
        return _Unsafe(content)
    return content


def _written(content: t.Any, place: Place) -> str:
    if not HAS_YAML:
        raise MissingRequirement("PyYAML is not there", expected="PyYAML, which comes with ansible-core", found="none")
    text = yaml_dump(
        content, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=120, default_flow_style=False
    )
    return f"{place.mark}\n---\n{text}"


def _dumper() -> t.Any:
    """That of Ansible, which besides writes what is not to be filled in."""
    dumper: t.Any = type("Dumper", (yaml_dump.keywords["Dumper"],), {})
    dumper.add_representer(_Unsafe, lambda to, text: to.represent_scalar("!unsafe", str(text)))
    return dumper
