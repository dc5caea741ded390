# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real database backed up for two recipients: the online key is lost, the offline key alone brings everything back."""

from __future__ import annotations

import json
import pathlib
import typing as t

import pyrage

from tests.servers.component import Component
from tests.servers.module_call import call_module
from tests.servers.postgresql import Server, postgresql_system  # noqa: F401

FLIGHTS = "CREATE TABLE f AS SELECT i AS id FROM generate_series(1, 1000) i"


def identity_file(directory: pathlib.Path, name: str) -> tuple[str, str]:
    """A new identity's recipient, and the file in which it is kept."""
    identity = pyrage.x25519.Identity.generate()
    path = directory / f"{name}.txt"
    path.write_text(f"{identity}\n")
    path.chmod(0o600)
    return str(identity.to_public()), str(path)


def test_restore_with_the_offline_key_only_and_after_a_rotation(
    postgresql_system: Server,  # noqa: F811
    tmp_path: pathlib.Path,
) -> None:
    component = Component(postgresql_system, tmp_path)
    online, online_file = identity_file(tmp_path, "online")
    offline, offline_file = identity_file(tmp_path, "offline")
    new, new_file = identity_file(tmp_path, "new")
    try:
        component.create("flights", FLIGHTS)
        component.mark()
        taken = component.back_up(encryption_recipients=[online, offline], encryption_identity_file=online_file)
        assert "error" not in taken and "opens with no identity here" not in json.dumps(taken), taken
        # Somebody rotated the recipients and not the identity: said at once.
        warned = component.back_up(encryption_recipients=[offline, new], encryption_identity_file=online_file)
        assert "error" not in warned and "opens with no identity here" in json.dumps(warned["warnings"])

        point = taken["recovery_point"]["point_id"]
        pathlib.Path(online_file).unlink()
        component.server.execute("DROP TABLE f", "flights")
        # Said by the plan already, before consumers are stopped, and with whose key it would open.
        for check in (True, False):
            wrong = component.restore(check, recovery_point=point, encryption_identity_file=new_file)
            assert wrong["error"]["kind"] == "wrong_identity", wrong
        planned = component.restore(True, recovery_point=point, encryption_identity_file=new_file)["error"]
        assert planned["expected"] == "the identity of " + " or of ".join(sorted([online, offline])), planned
        assert planned["found"] == f"that of {new}"
        assert component.restore(True, recovery_point=point)["error"]["found"] == "none"
        lost = component.restore(recovery_point=point, encryption_identity_file=online_file)
        assert lost["error"]["kind"] == "wrong_identity" and online_file in lost["msg"], lost
        done = component.restore(recovery_point=point, encryption_identity_file=offline_file)
        assert "error" not in done and rows(component) == 1000, done

        # The offline key lets every point open with a new one, which from then on is enough.
        rotation: dict[str, t.Any] = {
            "repository": component.url,
            "environment_name": "local",
            "component": "flights_db",
            "encryption_recipients": [new],
            "encryption_identity_file": new_file,
            "encryption_identity_files": [offline_file],
            "depth": "full",
        }
        rotated = call_module("recovery_point_rewrap", rotation)
        # The second point was taken for the new recipient already.
        assert rotated["rewrapped"] == 1, rotated
        pathlib.Path(offline_file).unlink()
        component.server.execute("DELETE FROM f", "flights")
        drilled = component.drill(recovery_point=point, encryption_identity_file=new_file)
        assert "error" not in drilled, drilled
        done = component.restore(recovery_point=point, encryption_identity_file=new_file, force=True)
        assert "error" not in done and rows(component) == 1000, done
    finally:
        component.clear()


def rows(component: Component) -> int:
    return t.cast(int, component.server.execute("SELECT count(*) FROM f", "flights")[0][0])
