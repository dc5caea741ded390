# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The PostgreSQL part of a recovery point's ``RESTORE.md``: the vendor's own tools and a loop, with real names."""

from __future__ import annotations

import shlex
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Encoding
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import UNTIMED

_ROLES = """\
## Bring the roles back

Roles that exist already give an error each, which is fine. The role that you log in as is left alone.{passwords}

```sh
{decode} \\
  | grep -v -e "^CREATE ROLE ${{PGUSER:-postgres}};" -e "^ALTER ROLE ${{PGUSER:-postgres}} " \\
  | psql --no-psqlrc --quiet --dbname=postgres
```
"""
_DECODE = """\
## Unpack the dumps

You need {need}.{identity}

```sh
for file in {folders}; do
  plain=restored/${{file#objects/}}; plain=${{plain%{suffix}}}
  mkdir -p "${{plain%/*}}"
  {decode} > "$plain"
done
```
"""
_RESTORE = """\
## Restore the databases

`PGHOST`, `PGPORT`, `PGUSER` and `PGPASSWORD` say to which server: of version {major} or newer, with these extensions
at hand: {extensions}. A database of the same name must not exist there. Rename an old one first, rather than drop it:
stop what uses it, `ALTER DATABASE … ALLOW_CONNECTIONS false`, end its sessions
(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '…'`), `ALTER DATABASE … RENAME TO …`.

```sh
# What a database was told to allow its sessions must not end its own restore.
export PGOPTIONS="{options}"
{commands}
```

Then, in each database, `ANALYZE`, and compare with the counts in `manifest.json`.
"""


def restore_guide(content: t.Mapping[str, t.Any], encoding: Encoding, tool_version: str) -> str:
    """Markdown, its headings at the second level.

    :arg content: the manifest's ``content``.
    :arg tool_version: of the ``pg_dump`` that was used; an older ``pg_restore`` may not read the archive.
    """
    need = ["`pg_restore` and `psql` of version " + tool_version.split(".")[0] + " or newer"]
    need += ["`zstd`"] * encoding.compress + ["`age`"] * bool(encoding.recipients)
    identity = ""
    if encoding.recipients:
        identity = "\n`IDENTITY` names the file of the age identity of one of these recipients:\n\n" + "\n".join(
            f"- `{recipient}`" for recipient in encoding.recipients
        )
    databases = content["databases"]
    parts = []
    if databases:
        folders = " ".join(f"objects/{entry['directory']}/*" for entry in databases)
        parts.append(
            _DECODE.format(
                need=", ".join(need),
                identity=identity,
                folders=folders,
                suffix=encoding.suffix,
                decode=_decode(encoding, '"$file"'),
            )
        )
    if content.get("globals"):
        passwords = "" if content["globals"]["passwords"] else " Their passwords are not stored: set new ones."
        decode = _decode(encoding, f"objects/{content['globals']['object']}")
        parts.append(_ROLES.format(decode=decode, passwords=passwords))
    if databases:
        commands = "\n".join(
            f"# {_one_line(entry['name'])}\n"
            f"pg_restore --create --exit-on-error --jobs=4 --dbname=postgres restored/{shlex.quote(entry['directory'])}"
            for entry in databases
        )
        used = sorted({item["name"] for entry in databases for item in entry["extensions"]} - {"plpgsql"})
        parts.append(
            _RESTORE.format(
                major=content["server"]["version"].split(".")[0],
                extensions=", ".join(f"`{name}`" for name in used) or "none",
                commands=commands,
                options=f"{UNTIMED} -c default_transaction_read_only=off",
            )
        )
    return "\n".join(parts)


def _decode(encoding: Encoding, path: str) -> str:
    """A pipeline that writes the raw content of the object at ``path``."""
    if not encoding.recipients:
        return f"zstd -dc {path}" if encoding.compress else f"cat {path}"
    return f'age -d -i "$IDENTITY" {path}' + " | zstd -dc" * encoding.compress


def _one_line(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name)
