# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a health check found is told somewhere whatever is in the way."""

from __future__ import annotations

import json
import pathlib
import re

from tests.servers.health_environment import HealthEnvironment
from tests.servers.http import closed_port
from tests.servers.webhook import running_webhook


def test_a_place_that_cannot_be_written_is_named(health: HealthEnvironment, tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, screen = health.check("-e", f"run_report_dir={tmp_path}/file", "-e", f"run_textfile_dir={tmp_path}/none")
    assert code != 0 and "check_health of testing: " in screen and "report: file://" in screen, screen
    assert f"warning: the report is not in {tmp_path}/file" in screen and "Not a directory" in screen
    assert f"warning: the figures are not in {tmp_path}/none" in screen
    # What could not be written is not proposed again.
    (following,) = [line for line in screen.splitlines() if "next: " in line and "run_report_dir" in line]
    assert following.endswith("-e run_report_dir=reports") and f"{tmp_path}/file" not in following
    assert health.check("-e", f"run_textfile_dir={tmp_path}/none")[0] == 0


def test_where_no_report_can_be_written_the_screen_has_all_of_it(
    health: HealthEnvironment, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    # More than a screen shows where a report has the others.
    health.probes["back"] = [
        {"name": f"port {number}", "kind": "tcp", "host": "127.0.0.1", "port": closed_port()} for number in range(1, 41)
    ]
    health.write()
    nowhere = ("-e", f"run_report_dir={tmp_path}/file", "-e", f"repository_url=file://{tmp_path}/no")
    code, screen = health.check(*nowhere)
    assert code != 0 and "the report could be written nowhere" in screen, screen
    assert all(
        f"failure: back: probe \u201cport {number}\u201d: connection refused" in screen for number in range(1, 41)
    ), screen
    assert f"failure: the report is not in {tmp_path}/file" in screen and "more in the report" not in screen
    health.probes["back"] = []
    health.write(health_probes_disabled={})
    code, screen = health.check("--limit", "front", *nowhere)
    assert code != 0 and "the report could be written nowhere" in screen, screen


def test_what_to_do_next_is_a_whole_command_wherever_it_is_said(health: HealthEnvironment) -> None:
    demanded = {"name": "backups are made", "kind": "scheduled_run", "runbook": "back_up_components", "within": "1d"}
    health.write(health_probes=[demanded])
    _code, screen = health.check("-e", "run_scenario=x")
    whole = f"ansible-playbook -i {health.path}/hosts.yml -e run_scenario=x sre.runbooks.generate_schedules"
    assert whole in screen, screen
    latest = health.reports / "latest"
    kept = health.path / "repository" / "runs" / health.report()["run_id"]
    for path in (*latest.iterdir(), *(kept / path.name for path in latest.iterdir())):
        text = path.read_text(encoding="utf-8").replace("\\_", "_")
        assert "ansible-playbook sre" not in text and (whole in text or path.suffix == ".prom"), path


def test_a_webhook_is_told_and_never_stands_in_the_way(health: HealthEnvironment, tmp_path: pathlib.Path) -> None:
    secret = "Bearer not-to-be-seen-0815"
    (tmp_path / "secret").write_text(secret, encoding="utf-8")
    with running_webhook() as webhook:
        health.write(
            run_webhook_url=webhook.url("/200?not-to-be-seen"),
            run_webhook_secret_file=str(tmp_path / "secret"),
            run_webhook_occasion="always",
            run_webhook_timeout="1m",
        )
        code, screen = health.check("-vvvv")
        assert code == 0 and "not-to-be-seen" not in screen
        (received,) = webhook.received
        assert received["headers"]["Authorization"] == secret
        told = received["document"]
        assert (told["verdict"], told["run_id"]) == ("met", health.report()["run_id"])
        assert told["report"].endswith("report.html")
        health.write(run_webhook_url=webhook.url("/404"), run_webhook_occasion="always")
        code, screen = health.check()
    place = webhook.url("")
    assert code == 0 and f"warning: the webhook at {place} was not told how the run ended" in screen, screen
    # The report was written by then; the record has it.
    run = health.path / "repository" / "runs" / health.report()["run_id"]
    (told_nobody,) = [text for path in (run / "events").iterdir() if "webhook" in (text := path.read_text("utf-8"))]
    assert json.loads(told_nobody)["outcome"] == "failed" and "it answered 404" in told_nobody
    assert json.loads((run / "closed.json").read_text("utf-8"))["verdict"] == "met"
    # Nor does one whose secret cannot be had, on which the task itself breaks.
    health.write(
        run_webhook_url=f"{place}/200", run_webhook_secret="{{ lookup('ansible.builtin.file', '/nonexistent/secret') }}"
    )
    code, screen = health.check("-e", "run_webhook_occasion=always")
    assert code == 0 and re.search(r"^ *warning: .*/nonexistent/secret", screen, re.MULTILINE), screen


def test_a_run_with_a_limit_announces_no_recovery_of_what_it_did_not_ask(
    health: HealthEnvironment, tmp_path: pathlib.Path
) -> None:
    textfiles = tmp_path / "textfiles"
    textfiles.mkdir()
    down = health.probes["back"][0]
    well = down["url"]
    down["url"] = "http://127.0.0.1:1/"
    with running_webhook() as webhook:
        told = {"run_webhook_url": webhook.url("/200"), "run_webhook_occasion": "change"}
        health.write(**told, run_textfile_dir=str(textfiles))
        assert health.check()[0] != 0 and len(webhook.received) == 1
        (path,) = textfiles.iterdir()
        before = path.read_text(encoding="utf-8")
        code, screen = health.check("--limit", "front")
        assert code == 0 and "check_health of testing, only front: objectives met" in screen, screen
        assert f"in {textfiles} the verdict of the run and the figures of the other components stay" in screen, screen
        assert "nothing changed since" in screen and "(met, without back)" in screen, screen
        assert len(webhook.received) == 1
        whole = [line for line in before.splitlines() if line.startswith("sre_runbooks_run_")]
        assert len(whole) == 6 and set(whole) <= set(path.read_text(encoding="utf-8").splitlines())
        assert 'component="back",verdict="failed"} 1' in path.read_text(encoding="utf-8")
        down["url"] = well
        health.write(**told, run_textfile_dir=str(textfiles))
        code, screen = health.check()
        assert code == 0 and " (failed):" in screen, screen
        document = webhook.received[-1]["document"]
        assert (len(webhook.received), document["previous_verdict"], document["verdict"]) == (2, "failed", "met")
        assert 'verdict="met"} 1' in path.read_text(encoding="utf-8").split("run_finished")[0]


def test_a_repository_that_cannot_be_read_is_no_first_run(health: HealthEnvironment, tmp_path: pathlib.Path) -> None:
    assert health.check()[0] == 0
    _code, screen = health.check("-e", f"repository_url=file://{tmp_path}/nonexistent")
    assert "the former runs could not be read: nothing to compare with" in screen, screen
    assert "first run of its kind" not in screen
