# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A state in a recovery point: stored encrypted, read back whole."""

from __future__ import annotations

import datetime
import io
import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, Refused
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import (
    Encoding,
    Identities,
    open_decoded,
    store_stream,
)
from ansible_collections.sre.runbooks.plugins.module_utils._terraform import guide
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.program import Workdir
from ansible_collections.sre.runbooks.plugins.module_utils._terraform.state import State, parse_state

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.manifest import RecoveryPoint
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import PointWriter
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import Store

ENGINE = "terraform"
_OBJECT = "terraform.tfstate"
_DEFAULT_WORKSPACE = "default"


def require_encryption(recipients: t.Sequence[str], component: str) -> None:
    """Raise :class:`Refused` where a state would be stored for everybody to read."""
    if not recipients:
        raise Refused(
            "a Terraform state holds secrets and is only stored encrypted; nothing was touched",
            component,
            expected="encryption_recipients with at least one age recipient",
            found="none",
            next_command="set repository_encryption_recipients in the inventory (docs/encryption.md)",
        )


def store_state(
    state: State, workdir: Workdir, writer: PointWriter, encoding: Encoding, moment: datetime.datetime
) -> RecoveryPoint:
    """Make a recovery point of the state.

    :arg moment: when it was asked for.
    """
    require_encryption(encoding.recipients, writer.component)
    name = _OBJECT + encoding.suffix
    stored = store_stream(writer.repository.store, writer.object_key(name), name, io.BytesIO(state.text), encoding)
    writer.add(stored)
    program = workdir.program
    held = {
        **state.facts(),
        "workspace": workdir.workspace or _DEFAULT_WORKSPACE,
        "program": program.name,
        "program_version": program.version,
    }
    return writer.commit(
        engine_version=state.terraform_version,
        consistency_time=moment,
        content={"terraform": held},
        restore_guide=guide.restore_guide(held, encoding, name),
        encryption={"recipients": list(encoding.recipients)},
        tool_versions={program.name.lower(): program.version},
    )


def recorded(point: RecoveryPoint) -> dict[str, t.Any]:
    """What the manifest says of the state. Raises :class:`IntegrityError`."""
    found = point.content.get("terraform")
    wanted = {"lineage": str, "serial": int, "content": str, "workspace": str}
    if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in wanted.items()):
        raise IntegrityError(
            f"recovery point {point.point_id} does not say what state it holds",
            point.component,
            expected="lineage, serial and content in its manifest",
            found="a manifest without them",
        )
    return found


def read_state(store: Store, point: RecoveryPoint, identities: Identities) -> State:
    """The stored state, proven to be what the manifest says.

    :raises IntegrityError: it is damaged. :raises WrongIdentity: it is encrypted for somebody else.
    """
    held = recorded(point)
    for stored in point.objects:
        if stored.name.startswith(_OBJECT):
            with open_decoded(store, stored, identities) as decoded:
                text = decoded.read()
            state = parse_state(text, stored.key)
            if state is not None and (state.lineage, state.serial, state.content) == (
                held["lineage"],
                held["serial"],
                held["content"],
            ):
                return state
            break
    raise IntegrityError(
        f"recovery point {point.point_id} does not hold the state that its manifest tells of",
        point.component,
        expected=f"lineage {held['lineage']}, serial {held['serial']}",
        found="another one, or none",
    )
