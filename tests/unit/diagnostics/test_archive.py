# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive: whole or not there, safe to unpack whatever things are called, and made of parts that arrived whole."""

from __future__ import annotations

import base64
import gzip
import json
import math
import os
import pathlib
import string
import tarfile
import typing as t

import pytest
from ansible.module_utils.common.parameters import remove_values
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics import archive, bundle, log_files
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.desk import Finding, Item
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.gathering import Gathered, gather
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.part import Part, pack, unpack
from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, RepositoryError
from tests.servers.module_call import call_module

#: As the module's options have them where nobody says otherwise.
GIVEN = {
    "part_path": "",
    "probes": [],
    "probes_problem": "",
    "problem": "",
    "item_limit": 1 << 18,
    "total_limit": 1 << 24,
}
RUN_ID = "20261121T051000Z-collect_diagnostics-1a2b"


def part(component: str = "shop_db", **names: str) -> Part:
    items = [Item(names.get("item", "a.txt"), b"all is <well>\n", 100, "the last 86 of 100 bytes are left out")]
    found = Gathered(
        names.get("collector", "host_load"),
        "load",
        "partly",
        1.5,
        "no <b>",
        items,
        [Finding("warning", "<script> & |")],
    )
    empty = Gathered("host_logs", "logs", "late", 60.0, "not ready after 60 s")
    return Part(component, "high_cpu", "node-1", "2026-11-21T05:10:00.000000Z", 2.0, [found, empty])


def made(directory: pathlib.Path, *parts: Part, **more: t.Any) -> bundle.Made:
    components: list[dict[str, t.Any]] = []
    for position, one in enumerate(parts):
        path = directory / f"part-{position}"
        path.write_text(pack(one), encoding="ascii")
        components.append({**GIVEN, "name": one.component, "part_path": str(path)})
    params = {"components": components, "alert": "high_cpu", "report_dir": str(directory / "reports"), "run_id": RUN_ID}
    params.update(repository=None, environment_name="local", keep_in_repository=False, s3=None)
    return bundle.bundle({**params, **more}, check_mode=False)


def files(made: bundle.Made) -> dict[str, bytes]:
    with tarfile.open(made.archive_path) as opened:
        return {entry.name: t.cast("t.IO[bytes]", opened.extractfile(entry)).read() for entry in opened}


def test_it_holds_what_the_index_says(tmp_path: pathlib.Path) -> None:
    done = made(tmp_path, part(), part("shop_api"))
    top = f"diagnostics-{RUN_ID}"
    names = {f"{top}/index.html", f"{top}/index.md", f"{top}/index.json"}
    names |= {f"{top}/{name}/host_load/a.txt" for name in ("shop_db", "shop_api")}
    found = files(done)
    assert set(found) == names
    assert found[f"{top}/shop_db/host_load/a.txt"] == b"all is <well>\n"
    page, text = found[f"{top}/index.html"].decode(), found[f"{top}/index.md"].decode()
    assert "&lt;script&gt; &amp; |" in page
    assert "<script>" not in page
    assert "\\<script\\> \\& \\|" in text
    for words in ("not ready after 60 s", "the last 86 of 100 bytes are left out"):
        assert words in page
        assert words in text
    assert done.archive_path == str(tmp_path / "reports" / RUN_ID / "diagnostics.tar.gz")
    assert pathlib.Path(done.archive_path).stat().st_mode & 0o777 == 0o600
    missing = "host_logs is late: not ready after 60 s"
    assert f"warning: shop_db: {missing}" in done.facts()["summary_lines"]
    # What is missing stands out as well, on every page's top.
    for shown in (page.partition("<table>")[0], text.partition("## shop")[0], json.dumps(done.facts()["findings"])):
        assert missing in shown.replace("\\_", "_")
    assert done.facts()["components"]["shop_db"] == "1 item; 2 warnings, 1 note; host_load is partly; host_logs is late"


def test_probes_that_could_not_run_are_missing(tmp_path: pathlib.Path) -> None:
    why = "health_probes_disabled names a probe that is not there; password=hunter2; next: correct it"
    component = {**GIVEN, "name": "shop_db", "part_path": str(tmp_path / "part"), "probes_problem": why}
    (tmp_path / "part").write_text(pack(part()), encoding="ascii")
    done = made(tmp_path, components=[component])
    said = "the probes did not run: health_probes_disabled names a probe that is not there"
    (finding,) = [one for one in done.facts()["findings"] if "health_probes" in one["text"]]
    assert finding["severity"] == "warning"
    assert finding["text"].startswith(f"health_probes is failed: {said}")
    found = files(done)
    for name in ("index.html", "index.md", "index.json"):
        shown = found[f"diagnostics-{RUN_ID}/{name}"].decode().replace("\\_", "_")
        assert shown.count(said) >= 2, name  # at its top, and where the probes would be
        assert "hunter2" not in shown
    index = json.loads(found[f"diagnostics-{RUN_ID}/index.json"])
    (section,) = [one for one in index["chapters"][0]["sections"] if one["name"] == "health_probes"]
    assert section["outcome"] == "failed"


@pytest.mark.parametrize(("item_limit", "total_limit"), [(1024, 1 << 24), (1 << 20, 3000), (2048, 2048)])
def test_probes_are_bounded_as_everything_is(item_limit: int, total_limit: int, tmp_path: pathlib.Path) -> None:
    probes = [{"name": f"probe {number}", "outcome": "ok", "message": "é" * 100} for number in range(200)]
    bounds = {"item_limit": item_limit, "total_limit": total_limit, "probes": probes}
    (tmp_path / "part").write_text(pack(part()), encoding="ascii")
    done = made(tmp_path, components=[{**GIVEN, "name": "shop_db", "part_path": str(tmp_path / "part"), **bounds}])
    items = {name: content for name, content in files(done).items() if "/index." not in name}
    assert all(len(content) <= item_limit for content in items.values())
    assert sum(map(len, items.values())) <= total_limit
    assert "left out" in files(done)[f"diagnostics-{RUN_ID}/index.md"].decode()


def test_the_worst_of_all_components_comes_first(tmp_path: pathlib.Path) -> None:
    quiet, loud = part("a_quiet"), part("z_loud")
    loud.collected[0].findings = [Finding("failure", "it burns")]
    page = files(made(tmp_path, quiet, loud))
    for name in ("index.html", "index.md"):
        glance = page[f"diagnostics-{RUN_ID}/{name}"].decode().partition("At a glance")[2]
        assert glance.index("it burns") < glance.index("script")


def test_nothing_of_a_ticket_is_a_link_or_calls_somebody(tmp_path: pathlib.Path) -> None:
    loud = part()
    loud.collected[0].findings = [Finding("failure", "ask @channel or see http://evil.example/x")]
    text = files(made(tmp_path, loud))[f"diagnostics-{RUN_ID}/index.md"].decode()
    assert "ask `@channel` or see `http://evil.example/x`" in text


def test_the_page_gives_a_command_to_copy_by_itself(tmp_path: pathlib.Path) -> None:
    loud = part()
    loud.collected[0].findings = [Finding("failure", "it is down; found: nothing; next: psql -c 'SELECT 1'")]
    page = files(made(tmp_path, loud))[f"diagnostics-{RUN_ID}/index.html"].decode()
    assert "<code>psql -c &#x27;SELECT 1&#x27;</code>" in page


@given(component=st.text(min_size=1), collector=st.text(), item=st.text())
def test_no_name_leads_out_of_the_archive(component: str, collector: str, item: str) -> None:
    one = part(component, collector=collector, item=item)
    paths = [entry.path for section in archive.chapter_of(one).sections for entry in section.entries]
    for path in paths:
        steps = path.split("/")
        assert len(steps) == 3
        assert all(step and step.strip(".") and len(step) <= 130 for step in steps)
        assert path.isascii()


def test_items_of_like_names_stay_apart() -> None:
    one = part()
    one.collected[0].items = [Item(name, b"", 0) for name in ("a/b", "a_b", "a?b", "../a")]
    names = [entry.path.rpartition("/")[2] for entry in archive.chapter_of(one).sections[0].entries]
    assert names == ["a_b", "2-a_b", "3-a_b", "a"]


def test_what_travels_arrives_as_it_was() -> None:
    assert unpack(pack(part())) == part()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no base64!",
        base64.b64encode(b"no gzip").decode(),
        base64.b64encode(gzip.compress(b"no json")).decode(),
        base64.b64encode(gzip.compress(b'{"format": 2}')).decode(),
        base64.b64encode(gzip.compress(json.dumps({"format": 1, "component": 7}).encode())).decode(),
        pack(part())[:-40],
        pack(part()).replace("H4s", "é"),
    ],
    # The compressed hold the time.
    ids=["nothing", "no base64", "no gzip", "no json", "another format", "no name", "cut", "no ascii"],
)
def test_what_did_not_arrive_whole_is_refused(text: str, tmp_path: pathlib.Path) -> None:
    with pytest.raises(IntegrityError, match="did not arrive whole"):
        unpack(text)
    (tmp_path / "bad").write_text(text)
    component = {**GIVEN, "name": "shop_db", "part_path": str(tmp_path / "bad")}
    done = made(tmp_path, components=[component])
    assert "did not arrive whole" in done.facts()["components"]["shop_db"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, pytest.param(10**400, id="huge"), "x", None])
@pytest.mark.parametrize("where", ["part", "collector", "length"])
def test_a_host_that_tells_no_number_takes_nothing_from_the_others(
    where: str, value: t.Any, tmp_path: pathlib.Path
) -> None:
    lying = part("shop_api")
    if where == "part":
        lying.duration_s = value
    elif where == "collector":
        lying.collected[0].duration_s = value
    else:
        lying.collected[0].items[0].length = value
    done = made(tmp_path, part(), lying)
    assert "did not arrive whole" in done.facts()["components"]["shop_api"]
    assert any("shop_db/host_load" in name for name in files(done))


def test_a_name_that_is_no_text_takes_nothing_from_the_others(tmp_path: pathlib.Path) -> None:
    """As the names of files on a host, and what a host says of itself."""
    (tmp_path / "logs").mkdir()
    with open(os.fsencode(tmp_path / "logs") + b"/app-\xe9.log", "w", encoding="ascii") as file:
        file.write("an error\n")
    with open(os.fsencode(tmp_path / "logs") + b"/pipe-\xe9.log", "w", encoding="ascii"):
        pass
    collected = gather([log_files.collector([f"{tmp_path}/logs/*", f"{tmp_path}/\udce9"])], Masker(), 60, 1000, 10_000)
    assert "app-?.log" in repr(collected)
    bad = "app-\udce9"
    for number, one in enumerate((Part("shop_db", "", "", "", 1.0, collected), part(item=bad), part(collector=bad))):
        one.host = bad
        directory = tmp_path / str(number)
        directory.mkdir()
        done = made(directory, one, part("shop_api"))
        assert done.facts()["components"].keys() == {"shop_db", "shop_api"}
        assert any(name.endswith("index.html") for name in files(done))
    component = {**GIVEN, "name": "shop_db", "probes": [{"name": bad, "outcome": "failed"}], "problem": bad}
    assert files(made(tmp_path, components=[component]))


def test_no_password_is_found_in_what_travels() -> None:
    """Ansible would put stars in its place, whatever it is a part of."""
    one = part()
    packed = pack(one)
    letters = packed.replace("\n", "")
    for start in range(len(letters) - 4):
        told = remove_values({"part": packed}, {letters[start : start + 4], "root", "H4sI"})
        assert unpack(told["part"]) == one


@given(st.sets(st.text(string.ascii_letters + string.digits, min_size=1, max_size=3), min_size=1, max_size=6))
def test_not_even_one_of_a_single_letter(secrets: set[str]) -> None:
    packed = pack(part(), secrets)
    assert unpack(remove_values({"part": packed}, {*secrets, "0123", "H4sI"})["part"]) == part()


def test_where_it_cannot_be_written_is_told(tmp_path: pathlib.Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(RepositoryError, match="the archive could be written nowhere"):
        made(tmp_path, part())
    with pytest.raises(RepositoryError, match="run_report_dir"):
        made(tmp_path, part(), report_dir=None)


def test_what_was_found_is_not_lost_with_the_archive(tmp_path: pathlib.Path) -> None:
    (tmp_path / "part").write_text(pack(part()), encoding="ascii")
    (tmp_path / "reports").write_text("a file")
    params = {"environment_name": "local", "report_dir": str(tmp_path / "reports")}
    found = call_module(
        "diagnostics_archive", {**params, "components": [{"name": "shop_db", "part_path": str(tmp_path / "part")}]}
    )
    assert found["failed"]
    assert "the archive could be written nowhere" in found["msg"]
    assert [(one["component"], one["text"]) for one in found["findings"] if one["severity"] == "warning"][:1] == [
        ("shop_db", "<script> & |")
    ]
    assert "1 item" in found["components"]["shop_db"]


def test_a_failed_probe_says_what_is_next(tmp_path: pathlib.Path) -> None:
    probe = {"name": "answers", "outcome": "failed", "critical": True, "measured": "nothing", "expected": "200"}
    # One of the longer ones, and where its secret is may be read.
    command = f"""PGPASSWORD="$(cat '/srv/my kit/{"p" * 200}')" psql 'host=127.0.0.1 port=25432' -c 'SELECT 1'"""
    probes = [
        {**probe, "message": "x" * 1000, "hint": command},
        {**probe, "message": "no; found: x; next: the same command", "hint": command},
        {**probe, "message": "short", "hint": "y" * 3000},
    ]
    done = made(tmp_path, components=[{**GIVEN, "name": "shop_api", "probes": probes}])
    long, told, short = [
        one["text"] for one in done.facts()["findings"] if one["text"].startswith("probe answers is failed")
    ]
    assert long.endswith(f"x; next: {command}")
    assert told == "probe answers is failed: no; found: x; next: the same command"
    assert f"; next: `{command}`" in files(done)[f"diagnostics-{RUN_ID}/index.md"].decode()
    # A command that is cut off is none.
    assert short == "probe answers is failed: short; expected: 200; found: nothing"


def test_a_failure_on_the_way_leaves_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archive.tarfile.TarFile, "addfile", fails)
    with pytest.raises(RepositoryError, match="No space left"):
        made(tmp_path, part())
    assert list((tmp_path / "reports" / RUN_ID).iterdir()) == []


def test_it_is_kept_in_the_repository_where_that_is_wanted(tmp_path: pathlib.Path) -> None:
    (tmp_path / "part").write_text(pack(part()), encoding="ascii")
    repository = {"repository": f"file://{tmp_path / 'repository'}", "environment_name": "local"}
    assert not call_module("repository", repository).get("failed")
    component = {"name": "shop_db", "part_path": str(tmp_path / "part")}
    params = {**repository, "components": [component, {}], "run_id": RUN_ID, "keep_in_repository": True}
    assert call_module("diagnostics_archive", params, check=True)["repository_key"] == ""
    found = call_module("diagnostics_archive", params)
    assert found["repository_key"] == f"runs/{RUN_ID}/diagnostics/diagnostics.tar.gz"
    stored = tmp_path / "repository" / found["repository_key"]
    assert stored.stat().st_size == found["bytes"]
    assert not found["changed"]
