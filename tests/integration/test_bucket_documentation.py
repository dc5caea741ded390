# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/bucket.md and extensions/bucket: the commands run as they are written, Terraform reads and means the same."""

from __future__ import annotations

import json
import pathlib
import re
import shlex
import string
import typing as t

import hcl2
from botocore.exceptions import ClientError

from tests.integration.test_blast_radius import lint
from tests.servers.s3 import Gateway, documented_policy

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUCKET = ROOT / "extensions" / "bucket"
#: What this gateway has not got; S3 itself has.
NOT_HERE = {"put_public_access_block", "put_bucket_encryption", "put_bucket_lifecycle_configuration"}
NAMES = {"backup": "arn:aws:iam::1:role/b", "prover": "arn:aws:iam::1:role/p"}
NAMES |= {"retention": "arn:aws:iam::1:role/r", "reader": "arn:aws:iam::1:role/l"}


def commands(variables: dict[str, str]) -> list[tuple[str, dict[str, t.Any]]]:
    """Every ``aws s3api`` of the page's marked block, as a request of boto3 with its arguments."""
    page = (ROOT / "docs" / "bucket.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- commands: .*? -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert block
    found = []
    lines = re.sub(r"\\\n", " ", block[1])
    for words in re.findall(r"^aws s3api ((?:[^'\n]|'[^']*')+)", lines, re.MULTILINE):
        verb, *rest = shlex.split(string.Template(words).substitute(variables))
        arguments: dict[str, t.Any] = {}
        while rest:
            name = "".join(part.capitalize() for part in rest.pop(0)[2:].split("-"))
            value = rest.pop(0) if rest and not rest[0].startswith("--") else "true"
            arguments[name] = json.loads(value) if value[0] in "{t" else value
        found.append((verb.replace("-", "_"), arguments))
    return found


def test_commands_make_a_bucket_that_passes(s3_gateway: Gateway) -> None:
    root = s3_gateway.client()
    variables = {"bucket": "acme-recovery-points", "prefix": "production/"}
    asked = commands(variables)
    assert len(asked) == 7
    refused = set()
    for request, arguments in asked:
        try:
            getattr(root, request)(**arguments)  # botocore checks every argument against S3's own description
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NotImplemented", (request, error)
            refused.add(request)
    assert refused == NOT_HERE
    s3_gateway.set_documented_policy(variables["bucket"], variables["prefix"])
    found = lint(s3_gateway, variables["bucket"], prefix="production")
    destroying = {check for check, result in found.items() if result == "fail!"}
    assert not destroying and found["object_lock"] == found["delete_version"] == "pass", found


def test_terraform_says_the_same_as_the_commands() -> None:
    with (BUCKET / "main.tf").open(encoding="utf-8") as file:
        document = plain(hcl2.load(file))
    resources = {kind: body for entry in document["resource"] for kind, body in entry.items()}
    asked = dict(commands({"bucket": "b", "prefix": "p/"}))
    lock = resources["aws_s3_bucket_object_lock_configuration"]["repository"]["rule"][0]["default_retention"][0]
    defaults = {name: body.get("default") for entry in document["variable"] for name, body in entry.items()}
    wanted = asked["put_object_lock_configuration"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert lock == {"mode": "${var.lock_mode}", "days": "${var.lock_days}"}
    assert {"Mode": defaults["lock_mode"], "Days": defaults["lock_days"]} == wanted
    assert resources["aws_s3_bucket"]["repository"]["object_lock_enabled"] is True
    blocks = resources["aws_s3_bucket_public_access_block"]["repository"]
    assert [blocks[name] for name in blocks if name.startswith(("block", "ignore", "restrict"))] == [True] * 4
    rules = resources["aws_s3_bucket_lifecycle_configuration"]["repository"]["rule"]
    ours = asked["put_bucket_lifecycle_configuration"]["LifecycleConfiguration"]["Rules"]
    assert [rule["id"] for rule in rules] == [rule["ID"] for rule in ours]


def plain(node: t.Any) -> t.Any:
    """Without the quotes and marks that the parser of some versions leaves on names and texts."""
    if isinstance(node, dict):
        return {str(key).strip('"'): plain(value) for key, value in node.items() if not str(key).startswith("__")}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return node.strip('"') if isinstance(node, str) else node


def test_policy_has_what_only_aws_evaluates() -> None:
    """Statements are complete, their names differ, and write-once spares pgBackRest's area alone."""
    portable = documented_policy("b", "p/", NAMES)
    aws = documented_policy("b", "p/", NAMES, "policy-aws.json")
    names = [statement["Sid"] for statement in [*portable, *aws]]
    assert len(set(names)) == len(names)
    assert len(json.dumps({"Version": "2012-10-17", "Statement": [*portable, *aws]}, separators=(",", ":"))) < 20480
    (once,) = [statement for statement in aws if statement["Sid"] == "OnlyNewKeys"]
    assert once["Effect"] == "Deny" and once["NotResource"] == "arn:aws:s3:::b/p/pgbackrest/*"
    assert once["Condition"] == {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}}
    for statement in [*portable, *aws]:
        assert statement["Effect"] in ("Allow", "Deny") and statement["Action"]
        if statement["Effect"] == "Allow":
            assert statement["Principal"] != "*" and "s3:*" not in statement["Action"]
