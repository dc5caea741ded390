#!/usr/bin/env python
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one statement as the superuser, for damage that no module of the collection would do."""

from __future__ import annotations

import argparse
import pathlib

import psycopg

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--password-file", type=pathlib.Path, required=True)
parser.add_argument("--database", required=True)
parser.add_argument("sql")
options = parser.parse_args()
password = options.password_file.read_text(encoding="utf-8").strip()
with psycopg.connect(
    host="127.0.0.1",
    port=options.port,
    user="postgres",
    password=password,
    dbname=options.database,
    autocommit=True,
) as connection:
    print(connection.execute(options.sql).statusmessage)
