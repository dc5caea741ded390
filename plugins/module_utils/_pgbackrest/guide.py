# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ``RESTORE.md`` of a pgBackRest backup: pgBackRest and the server's own programs, with real names."""

from __future__ import annotations

import shlex
import typing as t

_GUIDE = """\
## What you need

`pgbackrest` {pgbackrest} or newer and the server programs of PostgreSQL {major}, on a host where the commands below are run
as the account that will run the server. The files of the backup are not here but in pgBackRest's own repository,
`{relative}` of the repository that this directory is in:

```sh
{settings}
```

## Write a configuration

```sh
umask 077
mkdir -p "$WORK"
{{
{lines}
}} > "$WORK/pgbackrest.conf"
```

## Restore

`PGDATA` names the new data directory: empty, or not there yet. Never restore over the only copy of anything.
Where tablespaces were created since this backup, do it on another host than the live server's: replaying their creation
takes the directories that they have there, with what is in them.

```sh
mkdir -p "$PGDATA"
pgbackrest --config="$WORK/pgbackrest.conf" --stanza={stanza} --pg1-path="$PGDATA" --set={label} \\
  --type=${{TYPE:-immediate}} ${{TARGET:+--target="$TARGET"}} --target-action=promote --archive-mode=off{tablespaces} restore
```

Without more it becomes what it was at {stop}. For any later moment that is archived, say `TYPE=time` and
`TARGET='2026-11-21 05:10:00+00'` (or `TYPE=lsn`, `TYPE=xid`, `TYPE=name`) before.

Then start it. Its settings are those of the old server: on a distribution that keeps them elsewhere (Debian:
`/etc/postgresql`), bring them first. It recovers, and then opens for writing:

```sh
pg_ctl -D "$PGDATA" -o "-p ${{PORT:-5432}} -c unix_socket_directories='$WORK' -c listen_addresses=''" -l "$WORK/log" -w -t 3600 start
until test "$(psql -h "$WORK" -p "${{PORT:-5432}}" -U {role} -d {database} -Atqc 'SELECT pg_is_in_recovery()')" = f; do sleep 1; done
```

It does not archive (`archive_mode` is off): before it replaces the old server, prepare archiving again.
"""
_FILE_SETTINGS = """\
REPOSITORY=$(cd ../../../.. && pwd)   # or wherever the repository is now
PASSPHRASE_FILE=${PASSPHRASE_FILE:-/dev/null}   # the file with pgBackRest's passphrase
WORK=${WORK:-$HOME/restore}"""
_S3_SETTINGS = """\
PASSPHRASE_FILE=${PASSPHRASE_FILE:-/dev/null}   # the file with pgBackRest's passphrase
WORK=${WORK:-$HOME/restore}
# AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: of somebody who may read the bucket"""


def restore_guide(
    content: t.Mapping[str, t.Any], options: t.Mapping[str, str], relative: str, role: str, database: str
) -> str:
    """Markdown, its headings at the second level.

    :arg content: the manifest's ``content``.
    :arg options: the place's ``repo1-*`` options, without secrets.
    :arg relative: the place below the repository.
    """
    backup = content["pgbackrest"]
    local = options["repo1-type"] == "posix"
    shown = {name: value for name, value in options.items() if not (local and name == "repo1-path")}
    lines = ["echo '[global]'"]
    lines += [f"echo {shlex.quote(f'{name}={value}')}" for name, value in sorted(shown.items())]
    if local:
        lines.append(f'echo "repo1-path=$REPOSITORY/{relative}"')
    elif options.get("repo1-s3-key-type") == "shared":
        lines += ['echo "repo1-s3-key=$AWS_ACCESS_KEY_ID"', 'echo "repo1-s3-key-secret=$AWS_SECRET_ACCESS_KEY"']
    if content["encrypted"]:
        lines += ["echo repo1-cipher-type=aes-256-cbc", 'echo "repo1-cipher-pass=$(cat "$PASSPHRASE_FILE")"']
    lines += ["echo log-level-file=off", 'echo "lock-path=$WORK/lock"', 'echo "spool-path=$WORK"']
    tablespaces = ' \\\n  --tablespace-map-all="$WORK/tablespaces"' if backup["tablespaces"] else ""
    return _GUIDE.format(
        pgbackrest=backup["pgbackrest_version"],
        major=backup["database_version"].split(".")[0],
        relative=relative,
        settings=_FILE_SETTINGS if local else _S3_SETTINGS,
        lines="\n".join(f"  {line}" for line in lines),
        stanza=shlex.quote(backup["stanza"]),
        label=shlex.quote(backup["label"]),
        stop=backup["stopped"],
        tablespaces=tablespaces,
        role=shlex.quote(role),
        database=shlex.quote(database),
    )
