# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live side of a restore: what lies in the data directory, whose it is, and the moment in which it is replaced."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import time
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import (
    EngineError,
    InvalidInput,
    Refused,
    RunbookError,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.command import Pgbackrest
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.control_data import (
    data_directory_holds,
    try_control_data,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.directories import Directories, identity
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.heartbeat import Heartbeat, newest_heartbeat
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.live_server import LiveServer
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.plan import Base, Plan
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.switch import archive_now
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import configuration, marker
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.client import PostgresqlAddress, connect
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.instance import MARKER
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.place import server_user
from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import find_server
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import Lease

if t.TYPE_CHECKING:
    import psycopg

    from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.restore import PitrRequest
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository

    Session = psycopg.Connection[tuple[t.Any, ...]]

#: How a server is set belongs to the server: the live one's files stay, whatever they were at the target.
_CONFIGURATION = (
    "postgresql.conf",
    "postgresql.auto.conf",
    "pg_hba.conf",
    "pg_ident.conf",
    configuration.SETTINGS_FILE,
    MARKER,
)


class Live:
    """What a request means for the server at ``address`` and its data directory.

    :arg base: names the cluster that is restored; None when only what is kept is of interest.
    """

    def __init__(
        self,
        request: PitrRequest,
        repository: Repository,
        address: PostgresqlAddress,
        base: Base | None,
        reached: t.Callable[[str], None],
    ) -> None:
        self._request = request
        self._repository = repository
        self._address = address
        self._component = request.component
        self._base = base
        self._reached = reached
        self._newest: Heartbeat | None = None
        self._empty = False
        self.began = _clock.now()
        self.archived: dict[str, t.Any] | None = None
        self.data = os.path.abspath(request.data_dir or self._ask_data_dir())
        self.holds = data_directory_holds(self.data)
        self.user = _owner(self.data)
        self.directories = Directories(self.data, self._component, self.user, reached)
        major = int(base.point.engine_version.split(".")[0]) if base is not None else 0
        self._bin_dir = find_server(major, request.bin_dir, exactly=True).bin_dir if major else ""
        self.server = LiveServer(
            self.data,
            self._component,
            self._bin_dir,
            self.user,
            request.start_command,
            request.stop_command,
            request.server_timeout,
        )

    def _ask_data_dir(self) -> str:
        try:
            with contextlib.closing(connect(self._address)) as session:
                row = session.execute("SELECT pg_catalog.current_setting('data_directory')").fetchone()
        except RunbookError:
            row = None
        if row is None or not row[0]:
            raise InvalidInput(
                "where the data are is not known, and no server answers that could say it",
                self._component,
                expected="component_pitr_data_dir in the inventory",
                found=f"none, and no server at {self._address.place}",
            )
        return str(row[0])

    # -- looking -----------------------------------------------------------------------------------------------------

    def running(self) -> bool:
        return self.server.running()

    def require(self) -> None:
        """Refuse a target that is not this environment's, or that we could not bring back. Nothing is written."""
        if self.holds == "something else":
            raise Refused(
                f"{self.data} is not a data directory; nothing was touched",
                self._component,
                expected="a data directory, an empty one, or none",
                found="other files",
                next_command="correct component_pitr_data_dir in the inventory",
            )
        self.server.require_way()
        if self.holds == "nothing":
            self._empty = True
            return
        if self.running():
            with contextlib.closing(connect(self._address)) as session:
                self._require_same_server(session)
                self._empty = marker.require_environment(
                    session, lambda name: connect(self._address, name), self._repository.environment, self._component
                )
                with contextlib.suppress(Exception):
                    self._newest = newest_heartbeat(session, self._component)
            if self._empty:
                return
        self._require_same_cluster()

    def _require_same_server(self, session: Session) -> None:
        row = session.execute("SELECT pg_catalog.current_setting('data_directory')").fetchone()
        found = str(row[0]) if row else "unknown"
        if os.path.realpath(found) != os.path.realpath(self.data):
            raise Refused(
                f"the server at {self._address.place} is not the one over {self.data}; nothing was touched",
                self._component,
                expected=f"data directory {self.data}",
                found=found,
                next_command="correct component_pitr_data_dir or component_login_host in the inventory",
            )

    def _require_same_cluster(self) -> None:
        control = try_control_data(self._bin_dir, self.data, self.user)
        if control is None or self._base is None:
            # What cannot even say whose it is may be replaced (it is kept), with confirmation.
            return
        if control.system_identifier != self._base.system_identifier:
            raise Refused(
                f"{self.data} holds another server's data than the recovery points do; nothing was touched",
                self._component,
                expected=f"system identifier {self._base.system_identifier}",
                found=control.system_identifier,
                next_command="check component_pitr_data_dir and repository_url in the inventory;"
                " move that directory away by hand if it is meant",
            )

    def require_confirm(self) -> None:
        if self.holds == "data" and not self._empty and self._request.confirm != self._component:
            raise Refused(
                f"the live data in {self.data} would be replaced; nothing was touched",
                self._component,
                expected=f"restore_confirm={self._component}",
                found=f"restore_confirm={self._request.confirm}" if self._request.confirm else "no confirmation",
                next_command=f"the same command with --limit {self._component} -e restore_confirm={self._component}",
            )

    def require_programs(self, bin_dir: str) -> None:
        """The log can only be replayed, and looked at, with the programs of its own version."""
        for program in ("postgres", "pg_controldata"):
            if not os.access(os.path.join(bin_dir, program), os.X_OK):
                raise EngineError(
                    f"{program} is missing", self._component, expected=f"it in {bin_dir}", found="no such program"
                )

    def require_way(self, copy: str) -> None:
        self.server.require_way(copy)

    def serves_content(self) -> bool:
        """Whether a server runs that holds anything."""
        return self.holds == "data" and not self._empty and self.running()

    def copy_identity(self) -> list[int] | None:
        return identity(self.directories.copy)

    def rpo_measured_s(self, made: Plan, found: Heartbeat | None) -> float | None:
        """Seconds of changes that the newest moment does not hold, by rows that were written; None elsewhere.

        What the live server wrote last tells it exactly; where it is lost, the beginning of this restore has to do.
        """
        if made.target.kind != "newest" or found is None:
            return None
        last = self._newest.at if self._newest is not None else self.began
        return round(max(0.0, (last - found.at).total_seconds()), 3)

    # -- acting ------------------------------------------------------------------------------------------------------

    def keep_configuration(self) -> None:
        """Into the copy, the live server's own settings, where there are any."""
        if self.holds != "data" or self._empty:
            return
        for name in _CONFIGURATION:
            source = os.path.join(self.data, name)
            if os.path.isfile(source) and not os.path.islink(source):
                target = os.path.join(self.directories.copy, name)
                shutil.copy2(source, f"{target}.new")
                found = os.stat(source)
                if os.geteuid() == 0:
                    os.chown(f"{target}.new", found.st_uid, found.st_gid)
                os.replace(f"{target}.new", target)

    def take_place(self, prepared: dict[str, t.Any], lease: Lease, timeout: float) -> str | None:
        """Fence, stop, swap, start; back to before when the restored server does not come up."""
        ran = self.running()
        if ran:
            with contextlib.closing(connect(self._address)) as session:
                marker.hold_advisory_lock(session, self._component)
                marker.ensure_tables(session)
                # From here on nobody with an older lease acts on it.
                marker.raise_fence(session, self._component, lease.epoch)
        self._reached("fenced")
        self.server.stop()
        self._reached("stopped")
        record = {name: value for name, value in prepared.items() if name != "directory"}
        before = self.directories.swap(record)
        try:
            self.server.start()
            self._require_up(prepared, timeout)
        except RunbookError as error:
            if before is None or not ran:
                raise
            self._go_back(before, error)
        self._reached("started")
        return before

    def _go_back(self, before: str, error: RunbookError) -> t.NoReturn:
        self.server.stop()
        self.directories.undo(before)
        self.server.start()
        raise EngineError(
            "the restored server does not come up; the former data are back in their place and served",
            self._component,
            expected="a server that accepts connections",
            found=str(error),
            next_command=f"the proven copy waits in {self.directories.copy}; mend that, then: the same command",
        ) from None

    def _require_up(self, record: t.Mapping[str, t.Any], timeout: float) -> None:
        """The server answers where it always did, and is the restored one."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                with contextlib.closing(connect(self._address)) as session:
                    row = session.execute(
                        "SELECT pg_catalog.pg_is_in_recovery(), c.timeline_id FROM pg_catalog.pg_control_checkpoint() c"
                    ).fetchone()
                break
            except RunbookError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
        if row is None or row[0] or int(row[1]) < int(record["timeline"]):
            raise EngineError(
                "another server than the restored one answers",
                self._component,
                expected=f"a primary on timeline {record['timeline']}",
                found=str(row),
                next_command="check component_pitr_start_command and component_login_host",
            )

    def ensure_started(self, timeout: float) -> bool:
        """Start what was restored, where a killed run did not; whether that was needed."""
        record = self.directories.restored()
        if self.running():
            return False
        self.server.start()
        if record is not None:
            self._require_up(record, timeout)
        return True

    def verify_archiving(self, tool: Pgbackrest, base: Base, timeout: float) -> dict[str, t.Any]:
        """A forced switch of the segment arrives in the repository. Raises :class:`EngineError`."""
        with contextlib.closing(connect(self._address)) as session:
            row = session.execute("SELECT pg_catalog.current_setting('archive_mode')").fetchone()
            if row is None or row[0] == "off":
                raise EngineError(
                    "the restored server does not archive",
                    self._component,
                    expected="archive_mode on, as before",
                    found="archive_mode off",
                    next_command=f"ansible-playbook sre.runbooks.prepare_archiving --limit {self._component}",
                )
            moment = archive_now(session, tool, self._component, base.archive_id, timeout)
        self.archived = moment.facts()
        return self.archived


def _owner(data_dir: str) -> str | None:
    """The account of the server, when we are root: that of the data, or of the directory that they are to lie in."""
    if os.geteuid() != 0:
        return None
    path = data_dir
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    owner = os.stat(path).st_uid
    return pwd.getpwuid(owner).pw_name if owner != 0 else server_user()
