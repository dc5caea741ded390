# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The end of a log is its newest lines, though the API cuts those off where there are too many bytes."""

from __future__ import annotations

import typing as t
import urllib.parse

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.pod_logs import read_end
from tests.unit.kubernetes.fake_api import Asked, Reply, fake_cluster

POD = {"metadata": {"namespace": "shop", "name": "db-0"}}


def serving(lines: list[bytes]) -> t.Callable[[Asked], Reply]:
    def answer(asked: Asked) -> Reply:
        url = urllib.parse.urlsplit(asked.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        assert (url.path, query["container"]) == ("/api/v1/namespaces/shop/pods/db-0/log", "db")
        assert query["previous"] == "false"
        asked_for = b"".join(lines[-int(query["tailLines"]) :])
        return 200, asked_for[: int(query["limitBytes"])], {}

    return answer


@pytest.mark.parametrize(
    ("lines", "limit", "expected"),
    [
        ([b"a\n", b"b\n"], 100, (b"a\nb\n", 16)),
        ([b"%09d\n" % number for number in range(50)], 100, (b"".join(b"%09d\n" % n for n in range(46, 50)), 4)),
        ([b"a\n", b"x" * 200 + b"\n"], 100, (b"x" * 100, 1)),
        ([], 100, (b"", 16)),
    ],
)
def test_the_newest_lines_are_read(lines: list[bytes], limit: int, expected: tuple[bytes, int]) -> None:
    with fake_cluster(serving(lines)) as (cluster, _fake):
        assert read_end(cluster, POD, "db", 16, limit, previous=False) == expected
