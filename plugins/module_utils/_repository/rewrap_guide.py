# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ``REWRAP.md`` of a rewrap: how its headers are put before the objects by hand."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._clock import format_time

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.rewraps import Rewrap

_TEMPLATE = """\
# Open {component} with newer keys, by hand

The objects of recovery point `{point_id}` were encrypted for other recipients than today's. An age file is a header,
in which a file key is wrapped for each recipient, and a payload encrypted with that file key. `headers.txt` holds, one
after the other, new headers with the same file keys, written {at} for:

```text
{recipients}
```

With the original objects' own headers nothing here is needed. Otherwise work in a copy of the recovery point's
directory: first check the files as its `RESTORE.md` says, then put the new headers in place (in the directory that holds
`RESTORE.md`; a shell, `sed`, `head` and `tail` do it), then go on in `RESTORE.md`, with the identity of a recipient above.

```sh
sed -n 's/^header  //p' rewraps/{rewrap_id}/REWRAP.md | while read -r from length skip object; do
  {{ tail -c "+$from" rewraps/{rewrap_id}/headers.txt | head -c "$length"; tail -c "+$skip" "$object"; }} > opened.tmp
  mv -f opened.tmp "$object"
done
```

A single object, without changing it, here the first:

```sh
{{ tail -c +{first_from} rewraps/{rewrap_id}/headers.txt | head -c {first_length}; tail -c +{first_skip} {first_object}; }} \\
  | age -d -i "$IDENTITY" > /dev/null
```

## Headers

First byte in `headers.txt`, length in bytes, first byte of the payload in the object, and the object:

```text
{table}
```
"""


def rewrap_guide(point: RecoveryPoint, rewrap: Rewrap) -> str:
    """The whole text."""
    rows = []
    position = 1
    for new in rewrap.headers.values():
        rows.append((position, len(new.header), new.replaces + 1, new.key[len(rewrap.prefix) :]))
        position += len(new.header)
    first_from, first_length, first_skip, first_object = rows[0]
    return _TEMPLATE.format(
        component=point.component,
        point_id=point.point_id,
        rewrap_id=rewrap.rewrap_id,
        at=format_time(rewrap.at),
        recipients="\n".join(rewrap.recipients),
        first_from=first_from,
        first_length=first_length,
        first_skip=first_skip,
        first_object=first_object,
        table="\n".join(f"header  {start} {length} {skip} {name}" for start, length, skip, name in rows),
    )
