# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the tests of this folder ask probes."""

from __future__ import annotations

import collections.abc
import typing as t

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._probes.engine import Result, run_probes
from ansible_collections.sre.runbooks.plugins.module_utils._probes.kinds import Session, declare_all
from tests.servers.http import HttpServer

Ask = t.Callable[..., Result]


def ask_all(declarations: list[dict[str, t.Any]], concurrency: int = 1000, **session: t.Any) -> list[Result]:
    """Ask probes given by their keys, with time enough on a machine that has much else to do, unless they say how much."""
    shared = Session(**session)
    patient = [{"timeout": 60, **declaration} for declaration in declarations]
    results, interrupted = run_probes(declare_all(patient, shared), shared.close, concurrency)
    assert not interrupted
    return results


@pytest.fixture
def ask() -> Ask:
    """Ask one probe given by its keys."""

    def asked(kind: str, **options: t.Any) -> Result:
        return ask_all([{"kind": kind, **options}])[0]

    return asked


@pytest.fixture(scope="module")
def server() -> collections.abc.Iterator[HttpServer]:
    with HttpServer() as running:
        yield running
