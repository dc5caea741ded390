# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real server set up for point-in-time recovery: nothing touched where it must not be, and never without proof."""

from __future__ import annotations

import collections.abc
import os
import pathlib
import pwd
import stat
import time

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import RepositoryError
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.access import find_passphrase
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import place_of
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.switch import lag_s
from tests.servers.archived import NAME, ArchivedComponent, archived_component
from tests.servers.deadline import wait_for
from tools.local_environment import free_port


@pytest.fixture(scope="module")
def component() -> collections.abc.Iterator[ArchivedComponent]:
    with archived_component() as found:
        yield found


def setting(component: ArchivedComponent, name: str) -> str:
    return str(component.server.execute(f"SELECT current_setting('{name}')")[0][0])


def test_it_is_set_up_step_by_step_and_then_left_alone(component: ArchivedComponent) -> None:
    predicted = component.archive(check=True)
    assert predicted["changed"]
    assert not component.config.exists() and not component.generation_dir().exists()
    assert "passphrase" not in predicted["diff"]["after"].split("cipher-pass")[0]

    waiting = component.archive(restart="never")
    assert waiting["changed"] and waiting["restart_required"] and waiting["archived"] is None
    assert setting(component, "archive_mode") == "off"
    again = component.archive(restart="never")
    assert not again["changed"] and again["restart_required"]

    done = component.archive()
    assert done["changed"] and not done["restart_required"]
    segment = done["archived"]["segment"]
    assert list(component.generation_dir().glob(f"archive/{NAME}/15-1/*/{segment}-*"))
    assert setting(component, "wal_level") == "replica"
    assert setting(component, "archive_timeout") == "5min"
    rows = component.server.execute("SELECT id FROM sre_runbooks.heartbeat")
    assert (done["archived"]["heartbeat"]["id"],) in rows

    settled = component.archive()
    assert not settled["changed"]
    assert settled["archived"]["segment"] > segment
    assert not component.archive(check=True)["changed"]


def test_its_secrets_are_for_the_servers_account_alone(component: ArchivedComponent) -> None:
    done = component.archive(rpo="30s")
    assert done["changed"] and done["archiving"]["archive_timeout_s"] == 15
    secret = component.passphrase.read_text().strip()
    found = component.config.stat()
    assert stat.S_IMODE(found.st_mode) == 0o600
    owner = pwd.getpwuid(found.st_uid).pw_name
    assert owner == (component.server.instance.user or pwd.getpwuid(os.geteuid()).pw_name)
    assert secret in component.config.read_text()
    assert secret not in str(done)
    assert secret not in setting(component, "archive_command")
    component.config.chmod(0o644)
    mended = component.archive(rpo="30s")
    assert mended["changed"] and stat.S_IMODE(component.config.stat().st_mode) == 0o600


def test_what_a_disaster_would_lose_is_measured(component: ArchivedComponent) -> None:
    archive_and_be_told(component)
    with component.server.connect() as session:
        # The log goes on, but nothing was committed since the heartbeat: an idle server is not behind.
        session.execute("SELECT pg_logical_emit_message(false, 'nothing', 'lost')")
        time.sleep(0.2)
        assert lag_s(session) == 0
        session.execute("CREATE TABLE written (n int)")
        time.sleep(0.2)
        lag = lag_s(session)
        assert lag is not None and 0.2 <= lag < 60
    archive_and_be_told(component)
    with component.server.connect() as session:
        assert lag_s(session) == 0


def archive_and_be_told(component: ArchivedComponent) -> None:
    """The segment is in the repository before the server knows it: the archiver notes it once its command has ended."""
    segment = component.archive()["archived"]["segment"]
    noted = "SELECT last_archived_wal >= %s FROM pg_stat_archiver"
    with component.server.connect() as session:
        wait_for(lambda: session.execute(noted, (segment,)).fetchone() == (True,), f"the archiver to note {segment}")


def test_a_mistyped_passphrase_begins_nothing(component: ArchivedComponent) -> None:
    component.archive(rpo="30s")
    mistyped = component.write_passphrase(component.path / "mistyped")
    refused = component.archive(cipher_pass_file=str(mistyped))
    assert refused["failed"] and "no passphrase that was given opens generation 0001" in refused["msg"]
    assert not component.generation_dir("0002").exists()
    assert not component.archive(rpo="30s")["changed"]


def test_somebody_elses_archiving_is_not_ended_in_silence(component: ArchivedComponent) -> None:
    before = setting(component, "archive_command")
    component.server.execute("ALTER SYSTEM SET archive_command = 'cp %p /nowhere/%f'")
    component.server.execute("SELECT pg_reload_conf()")
    wait_for(lambda: setting(component, "archive_command") == "cp %p /nowhere/%f", "the reload")
    try:
        refused = component.archive()
        assert refused["failed"] and "the server archives already, to somewhere else" in refused["msg"]
        assert "cp %p /nowhere/%f" in refused["msg"]
        assert setting(component, "archive_command") == "cp %p /nowhere/%f"
    finally:
        replaced = component.archive(replace_archiving=True)
    assert replaced["changed"] and setting(component, "archive_command") == before


def test_an_archive_that_takes_nothing_is_named_in_bounded_time(component: ArchivedComponent) -> None:
    (segments,) = component.generation_dir().glob(f"archive/{NAME}/15-1/*")
    segments.chmod(0o500)
    try:
        # In so little time the command may not even have been tried: then it gets more.
        for patience_s in (3, 30):
            began = time.monotonic()
            failed = component.archive(timeout=f"{patience_s}s")
            assert time.monotonic() - began < patience_s + 60
            if "archive_command failed" in failed["msg"]:
                break
    finally:
        segments.chmod(0o750)
    assert failed["failed"] and "the log is not archived" in failed["msg"]
    assert "archive_command failed" in failed["msg"] and failed["error"]["next_command"]
    assert component.archive(rpo="10m", timeout="120s")["archived"]


def test_a_repository_that_the_server_cannot_reach_is_named_before_anything_is_touched(
    component: ArchivedComponent,
) -> None:
    if component.server.instance.user is None:
        pytest.skip("the server runs as this account")
    repository = component.path / "repository"
    repository.chmod(0o700)
    try:
        refused = component.archive()
    finally:
        repository.chmod(0o755)
    assert refused["failed"] and "cannot be reached by postgres" in refused["msg"]


def test_an_unreachable_endpoint_is_named_at_once(component: ArchivedComponent) -> None:
    """What archiving asks before it touches the server, of an address where nothing listens."""
    port = free_port()
    s3 = {"endpoint_url": f"https://127.0.0.1:{port}", "access_key": "a", "secret_key": "b"}
    began = time.monotonic()
    with pytest.raises(RepositoryError) as raised:
        find_passphrase(place_of("s3://bucket/prefix", NAME, "0001", s3), ["word"], component.server.instance.user)
    assert time.monotonic() - began < 30  # pgBackRest itself would try for minutes
    assert f"nothing answers at 127.0.0.1:{port}" in str(raised.value) and raised.value.next_command


def test_another_server_does_not_take_the_archive_over(component: ArchivedComponent) -> None:
    component.archive()
    with archived_component(component.url) as other:
        other.passphrase = component.passphrase
        refused = other.archive()
        assert refused["failed"] and "the archive is another server's" in refused["msg"]
        assert str(other.server.execute("SELECT system_identifier FROM pg_control_system()")[0][0]) in refused["msg"]
        assert setting(other, "archive_mode") == "off"


def test_a_standby_is_refused(component: ArchivedComponent) -> None:
    component.archive()
    instance = component.server.instance
    signal = pathlib.Path(instance.data_dir, "standby.signal")
    instance.stop()
    signal.touch()
    instance.start()
    try:
        refused = component.archive()
        assert refused["failed"] and "the server is a standby" in refused["msg"]
    finally:
        instance.stop()
        signal.unlink()
        instance.start()


def test_archiving_ends_without_filling_the_disk(component: ArchivedComponent) -> None:
    component.archive()
    assert component.archive(state="absent", check=True)["changed"]
    ended = component.archive(state="absent")
    assert ended["changed"] and ended["restart_required"]
    # Until it is restarted it would keep every segment for a command that is empty.
    assert setting(component, "archive_command") == "/bin/true"
    assert not component.config.exists() and component.generation_dir().exists()
    assert not component.archive(state="absent")["changed"]
    component.server.instance.stop()
    component.server.instance.start()
    cleared = component.archive(state="absent")
    assert cleared["changed"] and not cleared["restart_required"]
    assert not component.archive(state="absent")["changed"]
    assert setting(component, "archive_mode") == "off"
