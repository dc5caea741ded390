# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before and after every side effect of what acts on Kubernetes: files, objects of the API, processes."""

from __future__ import annotations

import pathlib
import typing as t

import pytest

from tests.robustness.killed_namespace import KilledNamespace
from tests.robustness.module_process import ModuleProcess
from tests.robustness.sweeping import Sweep, sweep_through
from tests.servers.kubernetes.server import KubernetesServer

#: Those that a claim with files takes part in.
WITH_VOLUME = ("back up", "restore")
SWEEPS: dict[str, Sweep[KilledNamespace]] = {
    "back up": Sweep(
        KilledNamespace.back_up,
        lambda own: own.back_up(force=False),
        KilledNamespace.taken,
        sample=3,
    ),
    "restore": Sweep(
        KilledNamespace.restore,
        KilledNamespace.restore,
        KilledNamespace.restored_and_kept,
        KilledNamespace.spoil,
        sample=3,
    ),
    "restore a deleted namespace": Sweep(
        KilledNamespace.restore, KilledNamespace.restore, KilledNamespace.restored, KilledNamespace.delete
    ),
    "roll back": Sweep(
        KilledNamespace.roll_back,
        KilledNamespace.roll_back,
        lambda own: [*own.rolled_back(), *own.kept()],
        KilledNamespace.spoil_configuration,
        sample=3,
    ),
    "drill": Sweep(KilledNamespace.drill, lambda own: own.drill(interval="1d"), KilledNamespace.nothing_changed),
    "stop consumers": Sweep(
        lambda own, kill: own.consume("stopped", kill),
        lambda own: own.consume("stopped"),
        KilledNamespace.stopped,
        lambda own: own.consume("started"),
        effects=1,
    ),
    "start consumers": Sweep(
        lambda own, kill: own.consume("started", kill),
        lambda own: own.consume("started"),
        KilledNamespace.started,
        lambda own: own.consume("stopped"),
        effects=1,
    ),
}


@pytest.fixture(scope="module")
def modules() -> t.Iterator[ModuleProcess]:
    with ModuleProcess() as found:
        yield found


@pytest.mark.parametrize("name", list(SWEEPS))
def test_killed_at_every_side_effect_converges(
    kubernetes_cluster: KubernetesServer,
    kubernetes_namespace: str,
    tmp_path: pathlib.Path,
    modules: ModuleProcess,
    results: t.Callable[..., None],
    name: str,
) -> None:
    own = KilledNamespace(kubernetes_cluster, kubernetes_namespace, tmp_path, modules, name in WITH_VOLUME)
    sweep_through(own, name, SWEEPS[name], "Kubernetes", results)
