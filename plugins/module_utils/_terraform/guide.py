# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Terraform part of a recovery point's ``RESTORE.md``: age, zstd and the program itself."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import empty_state

_GUIDE = """\
## Unpack the state

You need {need}. `IDENTITY` names the file of the age identity of one of these recipients:

{recipients}

```sh
umask 077
age -d -i "$IDENTITY" objects/{object}{unpack} > terraform.tfstate.restored
```

It holds secrets: delete it when you are done.

## Compare it with what is live

`DIRECTORY` names the working directory of the configuration, in which `init` was run. Its workspace was
`{workspace}`. The stored state is of lineage `{lineage}` and has serial {serial}.

```sh
({program} -chdir="$DIRECTORY" state pull) | grep -m 2 -e '"lineage"' -e '"serial"'
```

Another lineage means: that is the state of something else. Keep what is there before you replace it:
`{program} -chdir="$DIRECTORY" state pull > terraform.tfstate.before`.

## Push it

Where nothing is live, push an empty state first: a backend gives the first state that it holds a lineage of its own,
whatever is pushed, and takes the lineage of the second one.

```sh
{program} -chdir="$DIRECTORY" state pull | grep -q '"lineage": "[^"]' || {program} -chdir="$DIRECTORY" state push - <<EOF
{empty}
EOF
```

A lower serial than the live one is refused by the program. Give the stored state a serial that is one higher than the
live one (edit the number in the line `"serial":` near the top), rather than push it with `-force`.

```sh
{program} -chdir="$DIRECTORY" state push - < terraform.tfstate.restored
{program} -chdir="$DIRECTORY" plan
```

The plan says what differs between the state and what really exists: resources made since then are no longer known to
it, and have to be imported again or deleted by hand.
"""


def restore_guide(content: t.Mapping[str, t.Any], encoding: Encoding, name: str) -> str:
    """Markdown, its headings at the second level.

    :arg content: the manifest's ``content.terraform``. :arg name: of the stored object.
    """
    program = "tofu" if content["program"] == "OpenTofu" else "terraform"
    return _GUIDE.format(
        need=", ".join([f"`{program}`", "`age`", *(["`zstd`"] if encoding.compress else [])]),
        recipients="\n".join(f"- `{recipient}`" for recipient in encoding.recipients),
        unpack=" | zstd -dc" if encoding.compress else "",
        object=name,
        program=program,
        workspace=content["workspace"],
        lineage=content["lineage"],
        empty=empty_state(content["lineage"], content["terraform_version"]).decode(),
        serial=content["serial"],
    )
