# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each fault ends with one clear message and touches nothing: the runbooks as a user runs them, on real servers."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import subprocess
import time
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql.tools import find_tools
from ansible_collections.sre.runbooks.plugins.module_utils._repository.holders import describe_holder
from ansible_collections.sre.runbooks.plugins.module_utils._repository.leases import holding
from tests.integration.bad_input import Screen, Site, program, small_file_system, tree_digest
from tools.local_environment import LocalEnvironment

OWN_ACCESS = {"component_backup_login_user": "", "component_assertions": [], "component_ledger": {}}
#: Components that are in order, each with a database of its own, for the restores that go wrong.
SOUND = (
    "wrong_confirm",
    "no_confirm",
    "unknown_point",
    "rolled_forward",
    "bad_manifest",
    "one_point",
    "two_points",
    "no_space",
    "taken",
)


def sound_components() -> dict[str, dict[str, t.Any]]:
    return {name: {**OWN_ACCESS, "component_databases": [name]} for name in SOUND}


def broken_components(directory: pathlib.Path) -> dict[str, dict[str, t.Any]]:
    """Components of which every one has another fault; all of them look at the flights' server."""
    empty, old, dying = (directory / name for name in ("empty", "old", "dying"))
    for place in (empty, old, dying):
        place.mkdir()
    for name in ("pg_dump", "pg_restore", "pg_dumpall", "psql"):
        program(old / name, f'#!/bin/sh\necho "{name} (PostgreSQL) 9.6.24"\n')
        program(dying / name, f'#!/bin/sh\nexec "{find_tools(10).bin_dir}/{name}" "$@"\n')
    real = find_tools(10).pg_dump
    program(
        dying / "pg_dump",
        f'#!/bin/sh\n[ "$1" = --version ] && exec "{real}" "$@"\necho "pg_dump: error: out of luck" >&2\nexit 1\n',
    )
    (directory / "wrong.password").write_text("a wrong one\n", encoding="utf-8")
    (directory / "wrong.password").chmod(0o600)
    return {
        "closed_port": {"component_login_port": 1},
        "wrong_password": {"component_backup_login_password_file": str(directory / "wrong.password")},
        "no_password_file": {"component_backup_login_password_file": str(directory / "none.password")},
        "no_tools": {"component_bin_dir": str(empty)},
        "old_tools": {"component_bin_dir": str(old)},
        "dying_tools": {"component_bin_dir": str(dying), "component_databases": ["flights"]},
        "unknown_engine": {"component_engine": "postgressql"},
        "unreachable": {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1},
        "bad_type": {"component_jobs": "many"},
        "bad_duration": {"component_rpo": "15 parsecs"},
        "no_database": {"component_databases": ["flihgts"]},
    }


@pytest.fixture(scope="module")
def site(local: LocalEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(local, tmp_path_factory.mktemp("inventories"))
    for name in SOUND:
        site.create_database(name, 50000 if name == "no_space" else 100)
    return site


@pytest.fixture(scope="module")
def sound(site: Site) -> list[str]:
    return site.inventory("sound", sound_components())


@pytest.fixture(scope="module")
def backup(site: Site, sound: list[str]) -> Screen:
    """One backup of the flights, of what is sound, and of every broken component."""
    broken = site.inventory("broken", broken_components(site.directory))
    data = site.data()
    screen = site.run("back_up_components", *sound, *broken)
    assert site.data() == data
    assert site.api_answers()
    return screen


BACKUP_FAULTS: dict[str, dict[str, str]] = {
    "closed_port": {"expected": "accepts connections at 127.0.0.1:1", "found": "refused", "next": "pg_isready"},
    "wrong_password": {"expected": "accepts user 'sre_backup'", "found": "authentication failed", "next": "password"},
    "no_password_file": {"expected": "none.password", "found": "No such file", "next": "mend what was found"},
    "no_tools": {"message": "pg_dump", "found": "none in", "next": "component_bin_dir"},
    "old_tools": {"message": "pg_dump", "found": "9.6", "next": "component_bin_dir"},
    "dying_tools": {"message": "dumping database 'flights'", "found": "pg_dump: error: out of luck"},
    "unknown_engine": {
        "expected": "postgresql, postgresql_pitr, service",
        "found": '"postgressql"',
        "next": "component_engine",
    },
    "unreachable": {
        "expected": "127.0.0.1",
        "found": "Connection refused",
        "next": "unreachable -m ansible.builtin.ping",
    },
    "bad_type": {"found": "component_jobs", "next": "inventory"},
    "bad_duration": {"expected": "15m", "found": "component_rpo = 15 parsecs", "next": "inventory"},
    "no_database": {"message": "flihgts", "expected": "flights", "next": "component_databases"},
}


@pytest.mark.parametrize("component", sorted(BACKUP_FAULTS))
def test_a_backup_that_cannot_be(site: Site, backup: Screen, component: str) -> None:
    assert backup.code != 0
    backup.failures()[component].says(**BACKUP_FAULTS[component])
    listing = site.points(component)
    assert not listing.points and not listing.damaged and not listing.incomplete
    assert site.lease_is_free(component)


def test_the_other_components_are_served(site: Site, backup: Screen) -> None:
    assert set(backup.failures()) == set(BACKUP_FAULTS)
    # A command to run next is the operator's own, with what was missing.
    assert "unknown variables" not in backup.text
    for component in ("flights_db", *SOUND):
        assert [point.level for point in site.points(component).points] == ["verified"]
        assert site.lease_is_free(component)
    verdicts = {entry["name"]: entry["verdict"] for entry in site.local.latest_report()["components"]}
    assert {name for name, verdict in verdicts.items() if verdict == "failed"} == set(BACKUP_FAULTS)
    assert verdicts["flights_db"] == "met"
    assert "argument_spec_data" not in backup.text


def test_a_limit_and_a_second_run_change_nothing(site: Site, backup: Screen, sound: list[str]) -> None:
    for arguments in (["--limit", "flights_db"], ["--limit", "two_points,flights_api"]):
        screen = site.run("back_up_components", *sound, *arguments)
        assert screen.code == 0, screen.text
        assert screen.changed() == 0
        assert not screen.failures()


@pytest.fixture(scope="module")
def before_restore(site: Site, backup: Screen) -> dict[str, t.Any]:
    return site.data()


@pytest.fixture(scope="module")
def restore(site: Site, backup: Screen, before_restore: dict[str, t.Any], sound: list[str]) -> Screen:
    """One restore of components of which every one meets another fault."""
    second = site.run("back_up_components", *sound, "--limit", "two_points", "-e", "backup_force=true")
    assert second.code == 0, second.text
    points = {name: [point.point_id for point in site.points(name).points] for name in SOUND}
    site.damage_object("one_point", points["one_point"][0])
    site.damage_object("two_points", points["two_points"][0])
    manifest = site.local.root / "repository/components/bad_manifest/points" / points["bad_manifest"][0]
    (manifest / "manifest.json").chmod(0o600)
    (manifest / "manifest.json").write_text('{"format": 1, "point_id": ', encoding="utf-8")
    with small_file_system(site.directory / "scratch", "64k") as scratch:
        hosts: dict[str, dict[str, t.Any]] = {name: {"restore_confirm": name} for name in SOUND}
        hosts["wrong_confirm"] = {"restore_confirm": "flights_db"}
        hosts["no_confirm"] = {}
        hosts["unknown_point"]["restore_recovery_point"] = "20200101T000000Z-abcd"
        hosts["rolled_forward"]["restore_target_time"] = "2026-11-21T05:10:00Z"
        hosts["no_space"]["component_scratch_dir"] = str(scratch)
        hosts["taken"]["component_lease_wait"] = "7s"
        hosts["flights_db"] = {"restore_confirm": "flights"}
        faults = site.inventory("faults", hosts)
        with holding(site.repository, "taken", "another-run", describe_holder("another-run"), 60):
            return site.run("restore_components", *sound, *faults)


RESTORE_FAULTS: dict[str, dict[str, str]] = {
    "flights_db": {"expected": "flights_db", "found": "flights", "next": "restore_confirm=flights_db"},
    "wrong_confirm": {"expected": "wrong_confirm", "found": "flights_db", "next": "restore_confirm=wrong_confirm"},
    "no_confirm": {"expected": "no_confirm", "next": "restore_confirm=no_confirm"},
    "unknown_point": {"message": "20200101T000000Z-abcd", "found": "none", "next": "expire_backups"},
    "bad_manifest": {"message": "no recovery point", "found": "1 damaged", "next": "back_up_components"},
    "one_point": {"message": "damaged", "expected": "sha256", "found": "sha256", "next": "--limit one_point"},
    "rolled_forward": {"message": "rolled forward", "found": "restore_target_time", "next": "recovery point"},
    "no_space": {"message": "nothing was touched", "expected": "MiB free", "next": "component_scratch_dir"},
    "taken": {"message": "somebody else", "found": "another-run", "next": "lease_wait"},
    # It stands on flights_db.
    "flights_api": {"message": "not attempted", "expected": "flights_db restored first", "next": "flights_db"},
}


@pytest.mark.parametrize("component", sorted(RESTORE_FAULTS))
def test_a_restore_that_must_not_be(
    site: Site, before_restore: dict[str, t.Any], restore: Screen, component: str
) -> None:
    assert restore.code != 0
    restore.failures()[component].says(**RESTORE_FAULTS[component])
    name = "flights" if component == "flights_db" else component
    now = site.data()
    assert [row for row in now["databases"] if row[0].startswith(name)] == [
        row for row in before_restore["databases"] if row[0].startswith(name)
    ]
    assert all(now[table] == rows for table, rows in before_restore.items() if table.startswith(f"{name}."))
    assert component == "taken" or site.lease_is_free(component)
    assert site.api_answers()


def test_a_damaged_newest_point_gives_way_to_the_one_before(site: Site, restore: Screen) -> None:
    assert set(restore.failures()) == set(RESTORE_FAULTS)
    newest, older = (point.point_id for point in site.points("two_points").points)
    restored = {entry["name"]: entry["recovery_point"] for entry in site.local.latest_report()["components"]}
    assert restored["two_points"] == older
    warning = re.search(r"warning: two_points: (.*)", restore.text)
    assert warning and f"{newest} was passed over" in warning[1] and "is not in it" in warning[1]
    assert site.lease_is_free("two_points")


def test_waiting_for_another_operator_is_shown_and_ends(restore: Screen) -> None:
    assert "… taken: waiting for run another-run on " in restore.text
    assert "at most 7.0 s" in restore.text


def test_the_wrong_environment_is_refused(site: Site, backup: Screen) -> None:
    with site.connect("postgres") as session:
        session.execute("UPDATE sre_runbooks.environment SET name = 'production'")
    try:
        with site.nothing_touched("flights_db"):
            screen = site.run("restore_components", "-e", "restore_confirm=flights_db", "-e", "restore_force=true")
    finally:
        with site.connect("postgres") as session:
            session.execute("UPDATE sre_runbooks.environment SET name = 'local'")
    failures = screen.failures()
    assert screen.code != 0 and set(failures) == {"flights_db", "flights_api"}, screen.text
    failures["flights_db"].says(expected="local", found="production")
    failures["flights_api"].says(**RESTORE_FAULTS["flights_api"])


def test_a_killed_run_is_in_nobodys_way(site: Site, backup: Screen) -> None:
    command = site.local.command("back_up_components", "-e", "backup_force=true", "--limit", "flights_db")
    killed = subprocess.Popen(command, cwd=pathlib.Path(__file__).parents[2], env=site.variables,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)  # fmt: skip
    points = site.local.root / "repository" / "components" / "flights_db" / "points"
    deadline = time.monotonic() + 120
    while len(list(points.iterdir())) < 2 and killed.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert len(site.points("flights_db").points) == 1
    screen = site.run("back_up_components", "-e", "backup_force=true", "--limit", "flights_db")
    assert screen.code == 0, screen.text
    listing = site.points("flights_db")
    # A third one where the killed run's last step got to its end before the next run took the lease.
    assert len(listing.points) in (2, 3) and not listing.incomplete and not listing.damaged
    assert site.lease_is_free("flights_db") and site.api_answers()


def test_a_full_repository(site: Site, backup: Screen, tmp_path: pathlib.Path) -> None:
    with small_file_system(tmp_path / "full", "3m") as place:
        url = f"file://{place}/repository"
        prepared = site.run("prepare_repository", SRE_RUNBOOKS_REPOSITORY=url)
        assert prepared.code == 0, prepared.text
        with site.nothing_touched("flights_db"):
            screen = site.run("back_up_components", "--limit", "flights_db", SRE_RUNBOOKS_REPOSITORY=url)
        screen.only_failure("flights_db").says(message="full", found="No space left")
        assert not list(place.glob("repository/components/flights_db/points/*/manifest.json"))
        assert not list(place.glob("repository/control/leases/flights_db/*/held.json")) or list(
            place.glob("repository/control/leases/flights_db/*/released.json")
        )


def test_an_unwritable_repository(site: Site, backup: Screen, tmp_path: pathlib.Path) -> None:
    with small_file_system(tmp_path / "readonly", "3m") as place:
        url = f"file://{place}/repository"
        assert site.run("prepare_repository", SRE_RUNBOOKS_REPOSITORY=url).code == 0
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        before = tree_digest(place)
        with site.nothing_touched("flights_db"):
            screen = site.run("back_up_components", SRE_RUNBOOKS_REPOSITORY=url)
        screen.refusal().says(found="Read-only file system")
        assert tree_digest(place) == before


MISSPELT: dict[str, tuple[str, dict[str, str]]] = {
    "environment": (
        "environment_name=",
        {"expected": "environment_name", "found": "no environment_name", "next": "-i"},
    ),
    "bucket": (
        '{"repository_s3": {"endpont_url": "http://127.0.0.1:1"}}',
        {"expected": "endpoint_url", "found": "endpont_url (did you mean endpoint_url?)", "next": "repository_s3"},
    ),
    "target": (
        "restore_target_tiem=2026-11-21T05:00:00Z",
        {"found": "restore_target_tiem (did you mean restore_target_time?)", "next": "correct the name"},
    ),
    "runbook": (
        "cheklist=morning",
        {"found": "cheklist (did you mean checklist?)", "next": "correct the name"},
    ),
    "component": (
        "component_data_pth=/x",
        {"found": "component_data_pth (did you mean component_data_path?)", "next": "correct the name"},
    ),
    "value with a space": (
        "restore_target_time=2026-11-21 05:00:00+00:00",
        {"expected": "name=value", "found": "1 word that belongs to no name", "next": "-e \"name='the whole value'\""},
    ),
}


@pytest.mark.parametrize("fault", sorted(MISSPELT))
def test_a_misspelt_inventory(site: Site, fault: str) -> None:
    variable, parts = MISSPELT[fault]
    for playbook in ("check_health", "prepare_repository"):
        site.run(playbook, "-e", variable).refusal().says(**parts)


def test_a_misspelt_variable_is_named(site: Site) -> None:
    strange = site.inventory("strange", {"flights_db": {"component_owner": "x"}})
    # As Ansible folds it.
    text = " ".join(site.run("check_health", *strange, "--limit", "flights_db", "--check").text.split())
    assert "unknown variables, which change nothing: component_owner" in text
    assert text.count("unknown variables") == 1
    misspelt = site.inventory("misspelt", {"flights_db": {"component_data_pth": "x"}})
    screen = site.run("check_health", *misspelt, "--limit", "flights_db", "--check")
    screen.failures()["flights_db"].says(
        message="variables that nobody reads", found="component_data_pth (did you mean component_data_path?)"
    )


def test_a_repository_that_is_not_there(site: Site, backup: Screen, tmp_path: pathlib.Path) -> None:
    with site.nothing_touched("flights_db"):
        screen = site.run("back_up_components", SRE_RUNBOOKS_REPOSITORY=f"file://{tmp_path}/none")
    screen.refusal().says(expected="repository.json", next="sre.runbooks.prepare_repository")
    assert not (tmp_path / "none").exists()


REBUILD_FAULTS: dict[str, tuple[list[str], dict[str, str]]] = {
    "unnamed": (["-e", "rebuild_confirm=production"], {"expected": "rebuild_confirm=local", "found": "production"}),
    "without its kit": (
        ["-e", "rebuild_confirm=local", "-e", '{"rebuild_break_glass_files": ["/nowhere/age-identity.txt"]}'],
        {"message": "break-glass", "found": "/nowhere/age-identity.txt", "next": "docs/break-glass.md"},
    ),
}


@pytest.mark.parametrize("fault", sorted(REBUILD_FAULTS))
def test_a_rebuild_that_must_not_begin(site: Site, backup: Screen, fault: str) -> None:
    arguments, parts = REBUILD_FAULTS[fault]
    with site.nothing_touched("flights_db"):
        digest = site.digest()
        site.run("rebuild_environment", *arguments).refusal().says(**parts)
        assert site.digest() == digest


def test_a_rebuild_of_components_in_a_circle(site: Site, backup: Screen) -> None:
    circle = site.inventory("circle", {"flights_db": {"component_depends_on": ["flights_api"]}})
    with site.nothing_touched("flights_db"):
        screen = site.run("rebuild_environment", *circle, "-e", "rebuild_confirm=local")
    assert screen.code != 0
    assert "flights_api → flights_db → flights_api" in screen.text or (
        "flights_db → flights_api → flights_db" in screen.text
    )


CHECKED: list[tuple[str, ...]] = [
    ("back_up_components", "-e", "backup_force=true"),
    ("restore_components", "-e", "restore_confirm=flights_db", "-e", "restore_force=true"),
    ("drill_restores", "-e", "drill_force=true"),
    ("rebuild_environment", "-e", "rebuild_confirm=local"),
    ("check_health",),
    ("prepare_repository",),
    ("adopt_environment",),
    ("start_local_environment", "-e", "local_environment_traffic=false"),
    ("destroy_local_environment", "-e", "local_environment_confirm=local"),
]


@pytest.mark.parametrize("arguments", CHECKED, ids=[arguments[0] for arguments in CHECKED])
def test_check_mode_writes_nothing(site: Site, backup: Screen, arguments: tuple[str, ...]) -> None:
    reports = sorted((site.local.root / "reports").iterdir())
    with site.nothing_touched("flights_db"):
        digest = site.digest()
        screen = site.run(*arguments, "--check", "--diff")
        assert screen.code == 0, screen.text
        assert site.digest() == digest
        assert sorted((site.local.root / "reports").iterdir()) == reports
