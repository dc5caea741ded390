# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever way a secret takes into what is collected, it is not in the archive."""

from __future__ import annotations

import http.server
import pathlib
import string
import tarfile
import tempfile
import threading
import typing as t

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics import bundle, log_files
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Desk
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Collector, gather
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part, pack
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.prometheus import Prometheus
from ansible_collections.sre.runbooks.plugins.module_utils._errors import EngineError
from ansible_collections.sre.runbooks.plugins.module_utils._prometheus.access import PROMETHEUS_OPTIONS
from ansible_collections.sre.runbooks.plugins.module_utils._words import MASK

#: Unlike any word of what stands around it.
SECRET = st.text(string.ascii_letters + string.digits, min_size=6, max_size=30).map(lambda text: f"Zq9{text}")
PLACES = (
    "dbpass: {}",
    "passwd {}",
    'password "{}" rejected',
    "https://hooks.slack.com/services/T0/B0/{}",
    "https://x.webhook.office.com/webhookb2/{}",
    "Authorization: {}",
    "Authorization: Bearer {}",
    "postgres://u:{}@db/x",
    '{{"token":"{}"}}',
    "export API_KEY={}",
    "ALTER ROLE x PASSWORD '{}'",
    "mysql --password={}",
)


def archived(part: Part, **more: t.Any) -> str:
    """All that is in the archive that is made of it."""
    with tempfile.TemporaryDirectory() as directory:
        path = pathlib.Path(directory, "part")
        path.write_text(pack(part), encoding="ascii")
        given = {"name": "c", "part_path": str(path), "probes": [], "probes_problem": "", "problem": ""}
        limits = {"item_limit": 1 << 18, "total_limit": 1 << 24}
        params = {"components": [{**given, **limits, **more}], "alert": "all", "report_dir": directory, "run_id": None}
        params.update(repository=None, environment_name="local", keep_in_repository=False, s3=None)
        made = bundle.bundle(params, check_mode=False)
        with tarfile.open(made.archive_path) as files:
            found = [
                entry.name.encode() + t.cast("t.IO[bytes]", files.extractfile(entry)).read()
                for entry in files.getmembers()
            ]
        return b"\n".join(found).decode() + str(made.facts())


# A smaller example would take minutes to find, each an archive of its own.
@settings(max_examples=25, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(planted=st.lists(st.tuples(st.sampled_from(PLACES), SECRET), min_size=1, max_size=6), known=SECRET)
def test_by_no_way(planted: list[tuple[str, str]], known: str) -> None:
    texts = [place.format(secret) for place, secret in planted] + [f"found {known} here"]

    def everywhere(desk: Desk) -> None:
        for number, text in enumerate(texts):
            desk.text(f"{number}-{text}", f"before\n{text}\nafter\n", newest_last=True, note=text)
            desk.table(f"table{number}", ("a", "b"), [(text, number), (number, text)])
            desk.document(f"document{number}", {"a": [text, {"b": text}]})
            desk.finding("warning", text)
            desk.problem(text)

    def fails(desk: Desk) -> None:
        raise EngineError("it failed", found="; ".join(texts))

    collectors = [Collector("everywhere", "x", everywhere), Collector("fails", "x", fails)]
    part = Part("c", "all", "here", "", 1.0, gather(collectors, Masker([known]), 60, 1 << 18, 1 << 24))
    probes = [{"name": f"p{number}", "outcome": "failed", "message": text} for number, text in enumerate(texts[:-1])]
    everything = archived(part, probes=probes)
    for secret in [known, *(secret for _place, secret in planted)]:
        assert secret not in everything
    assert archived(part, probes_problem="; ".join(texts[:-1])).count(MASK) > len(texts)


@pytest.mark.parametrize("status", [500, 200])
@pytest.mark.parametrize("before", [*range(180, 202, 3), *range(470, 502, 4)])
def test_what_prometheus_says_is_masked_before_it_is_cut(before: int, status: int) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"x" * before + b"Zq9-hunter2-Zq9" + b"y" * 1000)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        options = {**dict.fromkeys(PROMETHEUS_OPTIONS), "url": f"http://127.0.0.1:{server.server_address[1]}"}
        alerts, _targets = Prometheus({**options, "timeout": "30s"}).collectors()
        (found,) = gather([alerts], Masker(["Zq9-hunter2-Zq9"]), 60, 1 << 18, 1 << 24)
        server.shutdown()
    assert "no answer of Prometheus" in found.why
    assert "Z" not in found.why


@pytest.mark.parametrize("part", range(1, 15, 2))
def test_half_a_secret_at_the_beginning_of_the_end_of_a_log(part: int, tmp_path: pathlib.Path) -> None:
    """Where so much of a log is masked that all of what was read is kept."""
    kind = "RSA PRIVATE" + " KEY"
    key = f"-----BEGIN {kind}-----\n" + "QUJD\n" * 2200 + f"-----END {kind}-----\n"
    secret, limit = "Zq9-hunter2-Zq9", 4096
    length = limit + (64 << 10)
    rest = "\n" + key * 6 + "the end\n"
    rest = rest[:1] + "a quiet line\n" * 200 + rest[1:]
    # So long that what is read begins within the secret.
    rest += "." * (length - len(rest) - part)
    (tmp_path / "a.log").write_text(f"first\n{secret}{rest}")
    (found,) = gather([log_files.collector([f"{tmp_path}/a.log"])], Masker([secret]), 60, limit, 1 << 24)
    content = found.items[0].content
    assert b"the end" in content
    assert secret[-part:].encode() not in content[:40]
    assert content.startswith(b"a quiet line")
