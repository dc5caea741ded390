# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL with point-in-time recovery as an engine: pgBackRest's backups and log, catalogued as recovery points."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import (
    archiving,
    catalogue,
    command,
    configuration,
    guide,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.heartbeat import Heartbeat
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import Backup, StanzaInfo, read_info
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import Place, place_of, prefix_of
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.server import ServerFacts, look_at_server
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect
from ansible_collections.sre.runbooks.plugins.module_utils._progress import Progress
from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter

ENGINE = catalogue.ENGINE


@dataclasses.dataclass(frozen=True)
class PitrPlan:
    """The server, its archive, and what pgBackRest has of it. ``size`` in bytes at the source."""

    server: ServerFacts
    place: Place
    info: StanzaInfo
    archive_id: str
    pgbackrest_version: str
    encrypted: bool
    size: int
    tablespaces: list[str]

    def covered_by(self, point: RecoveryPoint) -> bool:
        """Whether the point is of this server, in the generation that it archives to."""
        held = point.content.get("pgbackrest", {})
        own = {"generation": self.place.generation, "system_identifier": str(self.server.system_id)}
        return all(held.get(name) == value for name, value in own.items())

    def facts(self) -> dict[str, t.Any]:
        return {
            "size": self.size,
            "server_version": self.server.version,
            "tool_version": self.pgbackrest_version,
            "place": self.place.url,
            "generation": self.place.generation,
            "system_identifier": str(self.server.system_id),
        }


class PostgresqlPitrEngine:
    """A server that the module ``postgresql_archiving`` has set up.

    :arg url: the repository's. :arg config_dir: as for archiving. :arg jobs: processes at once.
    """

    name = ENGINE

    def __init__(
        self,
        address: PostgresqlAddress,
        component: str,
        url: str,
        s3: t.Mapping[str, t.Any] | None = None,
        config_dir: str | None = None,
        jobs: int = 2,
    ) -> None:
        self._address = address
        self._component = component
        self._url = url
        self._s3 = s3
        self._jobs = jobs
        self._path = archiving.config_path(config_dir, component)
        self._user: str | None = None

    def plan(self) -> PitrPlan:
        """Look at server and archive; refuse a server that does not archive here."""
        component = self._component
        version = command.version(component)
        server = look_at_server(self._address, component)
        command.check_server(version, server.major, component)
        self._user = server.os_user
        text = configuration.read_configuration(self._path)
        if text is None or f"--config={self._path}" not in server.settings["archive_command"]:
            found = f"no {self._path}" if text is None else f"archive_command {server.settings['archive_command']!r}"
            raise self._unprepared("a server that archives to this component", found)
        place = self._place(text)
        info = read_info(self.tool())
        current = info.current
        if current is None or current.system_id != server.system_id:
            owner = f"system identifier {current.system_id}" if current else info.message
            raise self._unprepared(f"an archive of system identifier {server.system_id}", owner)
        size, tablespaces = self._measure()
        return PitrPlan(
            server=server,
            place=place,
            info=info,
            archive_id=info.archive_id(current.id),
            pgbackrest_version=".".join(map(str, version)),
            encrypted=configuration.option_of(text, "repo1-cipher-type") is not None,
            size=size,
            tablespaces=tablespaces,
        )

    def _place(self, text: str) -> Place:
        """The place in the configuration, which has to be one of this repository's."""
        path = configuration.option_of(text, "repo1-path") or ""
        place = place_of(self._url, self._component, os.path.basename(path), self._s3)
        for name in ("repo1-type", "repo1-path", "repo1-s3-bucket"):
            if configuration.option_of(text, name) != place.options.get(name):
                raise self._unprepared(f"an archive at {place.url}", f"{name}={configuration.option_of(text, name)}")
        return place

    def _unprepared(self, expected: str, found: str) -> Refused:
        return Refused(
            "archiving is not prepared",
            self._component,
            expected=expected,
            found=found[:300],
            next_command=f"ansible-playbook sre.runbooks.prepare_archiving --limit {self._component}",
        )

    def tool(self) -> command.Pgbackrest:
        """pgBackRest with the server's own configuration; after :meth:`plan`."""
        password = {"PGPASSWORD": self._address.password} if self._address.password else {}
        stanza = configuration.stanza_of(self._component)
        return command.Pgbackrest(self._path, stanza, self._component, self._user, password)

    def _measure(self) -> tuple[int, list[str]]:
        with contextlib.closing(connect(self._address)) as session:
            row = session.execute(
                "SELECT coalesce(sum(pg_catalog.pg_database_size(oid)), 0)::bigint FROM pg_catalog.pg_database"
            ).fetchone()
            spaces = session.execute(
                "SELECT spcname::text FROM pg_catalog.pg_tablespace WHERE spcname !~ '^pg_' ORDER BY 1"
            ).fetchall()
        return (int(row[0]) if row else 0), [str(name) for (name,) in spaces]

    def back_up(
        self, plan: PitrPlan, kind: str, point_id: str, progress: Progress, check: t.Callable[[], None]
    ) -> Backup:
        """Have pgBackRest take a backup of that type.

        :arg kind: ``full``, ``diff`` or ``incr``. :arg check: called often; raises when the work must stop.
        """
        progress.step(f"backing {self._component} up ({kind})", plan.size)

        def follow(piece: bytes) -> None:
            percent = command.percent_in(piece)
            if percent is not None:
                progress.add(max(0, int(plan.size * percent / 100) - progress.done))

        tool = self.tool()
        tool.watch(
            "backup",
            f"--type={kind}",
            f"--process-max={self._jobs}",
            f"--annotation={catalogue.ANNOTATION}={point_id}",
            "--log-level-console=detail",
            timeout=None,
            what="the backup with pgBackRest",
            on_output=follow,
            check=check,
        )
        info = read_info(tool)
        for backup in info.backups:
            if backup.annotations.get(catalogue.ANNOTATION) == point_id:
                return backup
        raise EngineError(
            "pgBackRest does not list the backup that it says it has taken",
            self._component,
            expected=f"one annotated with {point_id}",
            found=", ".join(backup.label for backup in info.backups[-3:]) or "none",
        )

    def next_xid(self) -> str | None:
        """The first transaction that is certainly not in a backup taken before."""
        with contextlib.closing(connect(self._address)) as session:
            row = session.execute(
                "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text"
            ).fetchone()
        return str(row[0]) if row else None

    def catalogue(
        self,
        plan: PitrPlan,
        backup: Backup,
        known: t.Mapping[str, RecoveryPoint],
        writer: PointWriter,
        heartbeat: Heartbeat | None,
        next_xid: str | None,
        duration_s: float | None = None,
    ) -> RecoveryPoint:
        """Make the backup a recovery point.

        :arg known: label → point of the backups that it may need.
        :arg duration_s: seconds that it took; measured since the writer began by default.
        """
        database = plan.info.database(backup.database_id)
        held = {
            "stanza": configuration.stanza_of(self._component),
            "generation": plan.place.generation,
            "archive_id": plan.archive_id,
            "label": backup.label,
            "type": backup.type,
            "prior": backup.prior,
            "start_lsn": backup.start_lsn,
            "stop_lsn": backup.stop_lsn,
            "archive_start": backup.archive_start,
            "archive_stop": backup.archive_stop,
            "timeline": backup.timeline,
            "started": _clock.format_time(backup.started),
            "stopped": _clock.format_time(backup.stopped),
            "system_identifier": str(database.system_id if database else plan.server.system_id),
            "database_version": plan.server.version,
            "pgbackrest_version": plan.pgbackrest_version,
            "segment_size": plan.server.segment_size,
            "next_xid": next_xid,
            "tablespaces": plan.tablespaces,
            "size": backup.size,
            "repository_size": backup.repository_size,
            "page_errors": backup.error,
        }
        content = {
            "pgbackrest": held,
            "encrypted": plan.encrypted,
            "needs": catalogue.needs_of(backup, known),
            "heartbeat": heartbeat.facts() if heartbeat else None,
            "elsewhere": {"bytes": backup.repository_delta, "raw_bytes": backup.size},
        }
        relative = prefix_of(self._component, plan.place.generation).rstrip("/")
        return writer.commit(
            engine_version=plan.server.version,
            consistency_time=backup.stopped,
            content=content,
            restore_guide=guide.restore_guide(
                content, plan.place.options, relative, self._address.user, self._address.database
            ),
            started=backup.started,
            finished=None if duration_s is None else backup.stopped,
            duration_s=duration_s,
            encryption={"recipients": []},
            tool_versions={"pgbackrest": plan.pgbackrest_version},
        )
