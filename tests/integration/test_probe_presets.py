# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Presets of the http kind on the systems themselves, where they can be had."""

from __future__ import annotations

import pathlib
import shutil
import subprocess

from ansible_collections.sre.runbooks.plugins.module_utils._postgresql import place
from ansible_collections.sre.runbooks.plugins.module_utils._probes.declaration import Reading
from ansible_collections.sre.runbooks.plugins.module_utils._process import child_setup
from tests.servers.deadline import wait_for
from tests.servers.prometheus import running_alertmanager, running_prometheus
from tests.unit.probes.conftest import ask_all
from tools.local_environment import free_port


def ask(preset: str, url: str) -> Reading:
    return ask_all([{"kind": "http", "preset": preset, "url": url}])[0].reading


def test_prometheus_and_alertmanager() -> None:
    with running_prometheus() as prometheus, running_alertmanager() as alertmanager:
        for preset, url, other in (
            ("prometheus", prometheus.url, alertmanager.url),
            ("alertmanager", alertmanager.url, prometheus.url),
        ):
            reading = ask(preset, url)
            assert reading.outcome == "ok", reading
            # Both have that path; each preset knows its own.
            assert ask(preset, other).outcome == "failed"


def test_blackbox_exporter() -> None:
    user, port = place.server_user(), free_port()
    directory = pathlib.Path(place.make_directory(user, "srb-"))
    (directory / "blackbox.yml").write_text("modules: {}\n")
    command = ["prometheus-blackbox-exporter", f"--web.listen-address=127.0.0.1:{port}"]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(
        [*command, f"--config.file={directory}/blackbox.yml"], preexec_fn=child_setup(user), cwd=directory, **quiet
    ) as process:
        try:
            wait_for(lambda: ask("blackbox_exporter", f"http://127.0.0.1:{port}").outcome == "ok", "blackbox_exporter")
        finally:
            process.kill()
            shutil.rmtree(directory)
