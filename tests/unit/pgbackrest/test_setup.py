# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration, the place and the settings that archiving needs."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
import stat

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest import archiving, catalogue, expire
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.configuration import (
    Cluster,
    configuration_text,
    option_of,
    temporary_configuration,
    without_secrets,
    write_configuration,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.info import StanzaInfo
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.place import next_generation, place_of
from ansible_collections.sre.runbooks.plugins.module_utils._pgbackrest.server import ServerFacts

S3 = {
    "endpoint_url": "https://gateway.example:7070",
    "region": "eu-central-1",
    "access_key": "AKEY",
    "secret_key": "ASECRET",
    "session_token": "ATOKEN",
}
SECRETS = ("AKEY", "ASECRET", "ATOKEN", "a pass phrase")


def facts(configured: dict[str, str] | None = None, **settings: str) -> ServerFacts:
    running = {
        "archive_mode": "off",
        "archive_command": "(disabled)",
        "archive_timeout": "0",
        "archive_library": "",
        "wal_level": "replica",
        **settings,
    }
    return ServerFacts("15.18", 15, 1, "/data", "/run", 5432, 1 << 24, None, running, {**running, **(configured or {})})


def test_a_place_is_beside_our_own_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    local = place_of("file:///srv/my%20repository", "flights_db", "0001")
    assert local.directory == "/srv/my repository/pgbackrest/flights_db/0001"
    bucket = place_of("s3://bucket/some/prefix", "flights_db", "0002", S3)
    assert bucket.options["repo1-path"] == "/some/prefix/pgbackrest/flights_db/0002"
    assert (bucket.options["repo1-s3-endpoint"], bucket.options["repo1-storage-port"]) == ("gateway.example", "7070")
    assert bucket.options["repo1-s3-uri-style"] == "path" and bucket.directory is None
    amazon = place_of("s3://bucket", "flights_db", "0001", {"region": "eu-central-1"})
    assert amazon.options["repo1-s3-endpoint"] == "s3.eu-central-1.amazonaws.com"
    assert amazon.options["repo1-s3-key-type"] == "auto" and amazon.options["repo1-s3-uri-style"] == "host"
    assert not any(secret in repr(bucket) for secret in SECRETS)


@pytest.mark.parametrize(
    ("url", "generation", "s3"),
    [
        ("s3://bucket", "0001", {"endpoint_url": "http://gateway:7070"}),
        ("http://somewhere/", "0001", {}),
        ("file:///srv/r", "1", {}),
        ("file:///srv/r", "../x", {}),
    ],
)
def test_what_pgbackrest_cannot_use_is_refused(url: str, generation: str, s3: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        place_of(url, "flights_db", generation, s3)


def test_generations_are_counted() -> None:
    assert [next_generation([]), next_generation(["0001"]), next_generation(["0001", "0009"])] == [
        "0001",
        "0002",
        "0010",
    ]


def test_secrets_are_in_the_file_and_nowhere_else(tmp_path: pathlib.Path) -> None:
    place = place_of("s3://bucket/p", "flights_db", "0001", S3)
    text = configuration_text(place, Cluster("/data", 5433, "/run/s", "postgres"), "a pass phrase")
    assert all(secret in text for secret in SECRETS)
    assert not any(secret in without_secrets(text) for secret in SECRETS)
    assert option_of(text, "pg1-path") == "/data" and option_of(text, "expire-auto") == "n"
    path = tmp_path / "new" / "c.conf"
    write_configuration(str(path), text, None)
    write_configuration(str(path), text, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and [entry.name for entry in path.parent.iterdir()] == ["c.conf"]
    with temporary_configuration(text, None) as temporary:
        assert stat.S_IMODE(os.stat(os.path.dirname(temporary)).st_mode) == 0o700
        assert option_of(pathlib.Path(temporary).read_text(), "lock-path")
    assert not os.path.exists(os.path.dirname(temporary))


@pytest.mark.parametrize("phrase", ["two\nlines", " spaced", "spaced ", "nul\0"])
def test_a_value_that_would_change_the_file_is_refused_unseen(phrase: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        configuration_text(place_of("file:///srv/r", "flights_db", "0001"), None, phrase)
    assert phrase.strip() not in str(raised.value)


@pytest.mark.parametrize(("rpo_s", "timeout_s"), [(0, 1), (1, 1), (60, 30), (600, 300), (86400, 600)])
def test_a_segment_ends_within_half_of_the_rpo(rpo_s: float, timeout_s: int) -> None:
    assert archiving.archive_timeout_s(rpo_s) == timeout_s


def test_the_server_is_asked_for_no_more_than_it_needs() -> None:
    wanted = archiving.wanted_settings(facts(wal_level="minimal"), "push %p", 30)
    assert wanted == {
        "archive_mode": "on",
        "archive_command": "push %p",
        "archive_timeout": "30",
        "wal_level": "replica",
    }
    more = archiving.wanted_settings(facts(wal_level="logical", archive_mode="always"), "push %p", 30)
    assert (more["wal_level"], more["archive_mode"]) == ("logical", "always")


def test_what_only_awaits_a_restart_is_not_set_again() -> None:
    waiting = facts({"archive_mode": "on", "archive_command": "push %p", "wal_level": "replica"}, archive_timeout="30")
    assert archiving.differing(waiting, archiving.wanted_settings(waiting, "push %p", 30)) == {}
    assert archiving.awaiting_restart(waiting) == ["archive_mode"]


def test_the_command_survives_the_shell_and_the_server() -> None:
    line = archiving.archive_command("/usr/bin/pgbackrest", "/etc/a b/50%p/it's.conf", "flights_db")
    # The server replaces %p and %%, then a shell splits the words.
    said = re.sub("%(.)", lambda found: {"p": "pg_wal/1", "%": "%"}[found.group(1)], line)
    words = shlex.split(said)
    assert words[1:] == ["--config=/etc/a b/50%p/it's.conf", "--stanza=flights_db", "archive-push", "pg_wal/1"]


@pytest.mark.parametrize("command", ["", "(disabled)", "/bin/true", "pgbackrest --config=/c/x.conf archive-push %p"])
def test_nobody_elses_archiving_is_in_the_way(command: str) -> None:
    archiving.refuse_foreign_archiving(facts(archive_command=command), "/c/x.conf", "flights_db")


@pytest.mark.parametrize("settings", [{"archive_command": "cp %p /x/%f"}, {"archive_library": "basic_archive"}])
def test_somebody_elses_archiving_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(Refused):
        archiving.refuse_foreign_archiving(facts(**settings), "/c/x.conf", "flights_db")


def test_a_generation_with_lost_backups_is_not_removed() -> None:
    """A listing that is empty where points say otherwise is a reason to look, not to delete."""
    empty = StanzaInfo(3, "missing stanza data", "none", [], [], [])
    assert expire.plan_expiry("0001", empty, catalogue.Comparison(), newest=False).whole
    lost = catalogue.Comparison(gone=[object()])  # type: ignore[list-item]
    assert not expire.plan_expiry("0001", empty, lost, newest=False).whole
    assert not expire.plan_expiry("0001", empty, catalogue.Comparison(), newest=True).whole
