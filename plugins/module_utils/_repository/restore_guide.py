# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ``RESTORE.md`` of a recovery point: what somebody needs who has the files, the usual tools, and nothing of ours."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint, StoredObject

_TEMPLATE = """\
# Restore {component} by hand

Recovery point `{point_id}` of the component `{component}` in the environment `{environment}`.
It shows the state of {consistency_time} ({engine} {engine_version}) and belongs to the repository `{repository_id}`.

Nothing of the collection that wrote it is needed: only a shell, `sha256sum` and the tools named below. Every command is
meant to be run in the directory that holds this file.{fetch}

{check}{guide}
{objects}"""
_FETCH = """ Copy the directory first (`--endpoint-url` names a service
other than Amazon's):

```sh
aws s3 cp --recursive --only-show-errors {url}/{prefix} .
```"""
_CHECK = """\
## Check the files

```sh
sed -n '/^[0-9a-f]\\{64\\}  /p' RESTORE.md | sha256sum --check --quiet
```

It prints nothing when every object is whole.

"""
_OBJECTS = """
## Objects

{encodings}

```text
{sums}
```
"""


def restore_guide_document(point: RecoveryPoint, guide: str, url: str = "") -> str:
    """The whole text. ``guide`` is the engine's part, Markdown whose headings start at ``##``; ``url`` the repository's."""
    return _TEMPLATE.format(
        component=point.component,
        point_id=point.point_id,
        environment=point.environment,
        consistency_time=format_time(point.consistency_time),
        engine=point.engine,
        engine_version=point.engine_version,
        repository_id=point.repository_id,
        guide=guide.strip(),
        fetch=_FETCH.format(url=url, prefix=point.prefix) if url.startswith("s3://") else "",
        # An engine whose data lies elsewhere has none.
        check=_CHECK if point.objects else "",
        objects=_objects(point) if point.objects else "",
    )


def _objects(point: RecoveryPoint) -> str:
    sums = "\n".join(f"{stored.sha256}  {stored.key[len(point.prefix) :]}" for stored in point.objects)
    return _OBJECTS.format(encodings=_encodings(point.objects), sums=sums)


def _encodings(objects: t.Sequence[StoredObject]) -> str:
    used = {step for stored in objects for step in stored.encoding}
    ways = []
    if "zstd" in used:
        ways.append("What ends in `.zst` opens with `zstd -d`.")
    if "age" in used:
        ways.append("What ends in `.age` opens with `age -d -i <identity file>`, before anything else is done with it.")
        ways.append(
            "Should no identity match although yours is the environment's: `rewraps/` may hold newer headers, with a `REWRAP.md` "
            "in each that says how to use them."
        )
    return " ".join(ways) or "They are stored as they are."
