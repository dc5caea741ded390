# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets do not leave with diagnostics, in whatever form they stand in what was found."""

from __future__ import annotations

import base64
import json
import math
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._diagnostics.masking import Masker
from ansible_collections.sre.runbooks.plugins.module_utils._words import MASK

#: Nothing that a rule needs to end a value, and unlike any word of a template.
PLAIN = st.text(string.ascii_letters + string.digits + "_!#%*+-./?^~@$", min_size=6, max_size=40).map(
    lambda text: f"Zq9{text}"
)
QUOTED = st.text(string.ascii_letters + string.digits + " =:,;&{}()[]<>|", min_size=6, max_size=40).map(
    lambda text: f"Zq9{text}9qZ"
)
AROUND = st.text(st.characters(codec="utf-8", exclude_characters="\"'\\\r\n"), max_size=40)

#: In two parts: no file of ours may look as if it held a key.
KIND = "RSA PRIVATE" + " KEY"
NAMES = (
    "password",
    "DB_PASSWORD",
    "pgpassword",
    "api_key",
    "X-Api-Key",
    "client_secret",
    "accessKey",
    "aws_secret_access_key",
)
NAMES += ("token", "auth-token", "passphrase", "spring.datasource.password", "credentials", "PASS", "private_key")


@pytest.mark.parametrize(
    "template", ["{name}={secret}", "{name} = {secret} user=x", "{name}: {secret}", "--{name} {secret}"]
)
@given(name=st.sampled_from(NAMES), secret=PLAIN, before=AROUND, after=AROUND)
def test_a_value_is_masked_by_its_name(template: str, name: str, secret: str, before: str, after: str) -> None:
    text = f"{before} {template.format(name=name, secret=secret)}\n{after}"
    masked = Masker().text(text)
    assert secret not in masked
    assert masked.endswith(f"\n{Masker().text(after)}")


@pytest.mark.parametrize(
    "template",
    [
        "{name}='{secret}'",
        '{name}="{secret}" x=1',
        '{{"{name}": "{secret}", "x": 1}}',
        "{name}: '{secret}'",
        "--{name} '{secret}'",
    ],
)
@given(name=st.sampled_from(NAMES), secret=QUOTED)
def test_a_quoted_value_is_masked_to_its_end(template: str, name: str, secret: str) -> None:
    assert "Zq9" not in Masker().text(template.format(name=name, secret=secret))
    assert "9qZ" not in Masker().text(template.format(name=name, secret=secret))


@pytest.mark.parametrize(
    "text",
    [
        "connecting to postgres://flights:SECRET@db:5432/flights",
        "connecting to postgres://flights:SEC/RET@SECRET@db:5432/flights",
        "git clone https://SECRET@git.example.org/x",
        "redis://:SECRET@cache:6379/0",
        "ALTER ROLE app PASSWORD 'SECRET'",
        "CREATE USER 'app'@'%' IDENTIFIED BY 'SECRET'",
        "ALTER ROLE app WITH ENCRYPTED password E'SEC''RET' LOGIN",
        "Authorization: Bearer SECRET",
        "authorization=Basic SECRETSECRET==",
        "got header Bearer SECRETSECRET from client",
        "Set-Cookie: session=SECRET; Path=/",
        "GET /login?user=x&access_token=SECRET HTTP/1.1",
        'time="x" msg="conf {\\"password\\":\\"SECRET with words\\",\\"user\\":\\"x\\"}"',
        "primary_conninfo = 'host=a user=r password=SECRET'",
        "data:\n  password: |\n    SECRET\n    SECRET\nkind: x",
        "AGE-SECRET-KEY-1SECRET",
        "password\t=\tSECRET",
        'env["DB_PASSWORD"] = "SECRET"',
        "<!-- api-key := SECRET -->",
        "requirepass SECRET",
        "masterauth 'SECRET and more'",
        '1700000000.1 [0 127.0.0.1:6379] "config" "set" "requirepass" "SECRET"',
        "host=db pw=SECRET",
        "DB_PW: SECRET",
        "connecting to flights:SECRET@tcp(db:3306)/flights",
        'dsn="flights:SEC:RE/T@SECRET@tcp(db:3306)/flights"',
        "root:SECRET@unix(/run/mysqld.sock)/",
        "dbpass: SECRET",
        "userpass=SECRET",
        "rootpw SECRET",
        "rootpw: SECRET",
        "passwd SECRET",
        'the password "SECRET and more" rejected',
        "login with password 'SECRET' failed",
        'msg="password \\"SECRET and\\" is wrong"',
        "POSTGRES_PASSWORD SECRET1",
        "login with password SECRET1",
        "posting to https://hooks.slack.com/services/T0AAAAAAA/B0AAAAAAA/SECRET failed",
        "posting to https://shop.webhook.office.com/webhookb2/1@2/IncomingWebhook/SECRET/3 failed",
        "https://outlook.office.com/webhook/1@2/IncomingWebhook/SECRET/3",
        "https://discord.com/api/webhooks/4711/SECRET",
        "https://chat.example.org/hooks/abcdefghijklmnopqrstuSECRET",
        "https://api.telegram.org/bot4711:SECRET/sendMessage",
        "https://logic.azure.com:443/workflows/1/triggers/manual/paths/invoke?sv=1.0&sig=SECRET",
        "https://b.s3.amazonaws.com/k?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET&x=1",
        "proxy-authorization: SECRET",
        'Authorization: Digest username="x", response="SECRET"',
        '{"level":"info","token":"SECRET","user":"x"}',
        '{"token" : "SECRET"}',
        "{'DB_PASS': 'SECRET'}",
        "jdbc:postgresql://db/shop?user=x&password=SECRET",
        "jdbc:oracle:thin:scott/SECRET@//db:1521/shop",
        "Server=db;User Id=x;Password=SECRET;Encrypt=no",
        "mongodb+srv://x:SECRET@cluster0/shop",
    ],
)
def test_what_commonly_holds_a_secret(text: str) -> None:
    masked = Masker().text(text)
    assert "SECRET" not in masked.replace("AGE-SECRET-KEY", "")
    assert MASK in masked
    assert Masker().text(masked) == masked


@pytest.mark.parametrize(
    "secret",
    [
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9",
        "AGE-SECRET" + "-KEY-1QQQSYQCYQ5RQWZQFPG9SCRGWPUGPZYSNZS23V9CCRYDPK8QARC0SXH7X7",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "aB3" * 12,
        "xoxb-123456789012-abcdefghij",
        "hvs.CAESIJabcdefghij",
        "SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy",
        "md5" + "0123456789abcdef" * 2,
        "$2b$12$" + "abcdefghijABCDEFGHIJ./" * 2 + "123456789",
        # As AWS's own documents have it, in two parts.
        "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY",
    ],
)
def test_forms_that_speak_for_themselves(secret: str) -> None:
    assert Masker().text(f"found {secret} in the log") == f"found {MASK} in the log"


def key(lines: int) -> list[str]:
    body = base64.b64encode(bytes(range(256)) * lines).decode()
    return [body[start : start + 64] for start in range(0, lines * 64, 64)]


@pytest.mark.parametrize("prefix", ["", "2026-11-21T05:10:00Z  ", "    "])
def test_keys_in_armour(prefix: str) -> None:
    lines = [f"-----BEGIN {KIND}-----", *key(20), f"-----END {KIND}-----"]
    text = "\n".join(["before", *(prefix + line for line in lines), "after"])
    masked = Masker().text(text)
    assert masked.startswith("before\n")
    assert masked.endswith("\nafter")
    assert not any(line in masked for line in key(20))
    # Of the end of a log, the beginning of the key may be missing; of its beginning, the end.
    cut = "\n".join(text.splitlines()[4:])
    assert not any(line in Masker().text(cut) for line in key(20))
    assert Masker().text(cut).endswith("\nafter")
    assert not any(line in Masker().text("\n".join(text.splitlines()[:15])) for line in key(20))
    assert not any(line in Masker().text(json.dumps(text)) for line in key(20))


@given(st.text(st.characters(codec="utf-8"), min_size=4), AROUND, AROUND)
def test_what_is_known_is_masked_wherever_it_stands(secret: str, before: str, after: str) -> None:
    masker = Masker([secret])
    for text in (secret, json.dumps(secret)[1:-1], base64.b64encode(secret.encode()).decode()):
        masked = masker.text(f"{before}{text}{after}")
        assert text not in masked.replace(MASK, "") or text in f"{before} {after}"


def test_documents_keep_their_shape() -> None:
    given = {
        "name": "api",
        "env": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "LEVEL", "value": "debug"}],
        "secretKeyRef": {"name": "hunter2", "optional": True},
        "nested": {"tokens": ["hunter2", 7], "url": "https://u:hunter2@x/"},
        "count": 3,
    }
    assert Masker().value(given) == {
        "name": "api",
        "env": [{"name": "DB_PASSWORD", "value": MASK}, {"name": "LEVEL", "value": "debug"}],
        "secretKeyRef": {"name": MASK, "optional": True},
        "nested": {"tokens": [MASK, MASK], "url": f"https://{MASK}@x/"},
        "count": 3,
    }


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["/usr/bin/mysqldump", "-phunter2", "-u", "root"], f"/usr/bin/mysqldump -p{MASK} -u root"),
        (["redis-cli", "-a", "hunter2", "ping"], f"redis-cli -a {MASK} ping"),
        (["app", "--db-password", "hunter 2", "--level=3"], f"app --db-password {MASK} --level=3"),
        (["app", "--token=hunter2"], f"app --token={MASK}"),
        (["sshpass", "-phunter2", "ssh", "h"], f"sshpass -p{MASK} ssh h"),
        (["sshpass", "-p", "hunter2", "ssh", "h"], f"sshpass -p {MASK} ssh h"),
        (["curl", "-uadmin:hunter2", "http://x"], f"curl -u{MASK} http://x"),
        (["curl", "--user", "a:hunter2", "http://x"], f"curl --user {MASK} http://x"),
        (["curl", "--user=a:hunter2"], f"curl --user={MASK}"),
        (["curl", "-sSu", "a:hunter2"], f"curl -sSu {MASK}"),
        (["curl", "-sua:hunter2"], f"curl -su{MASK}"),
        (["redis-cli", "-ahunter2", "ping"], f"redis-cli -a{MASK} ping"),
        (["mongodump", "-u", "root", "-p", "hunter2"], f"mongodump -u root -p {MASK}"),
        (["docker", "login", "-u", "x", "-p", "hunter2"], f"docker login -u x -p {MASK}"),
        (["sudo", "-u", "redis", "redis-cli", "-a", "hunter2"], f"sudo -u redis redis-cli -a {MASK}"),
        (["timeout", "5", "/usr/bin/redis-cli", "-a", "hunter2"], f"timeout 5 /usr/bin/redis-cli -a {MASK}"),
        (["env", "A=b", "mysql", "-phunter2"], f"env A=b mysql -p{MASK}"),
        (["sh", "-c", "mysqldump -phunter2 x | gzip"], f"sh -c mysqldump -p{MASK} x | gzip"),
        (["mysql", "-p", "flights"], "mysql -p flights"),
        (["mysqld", "--port=3306", "-P3306"], "mysqld --port=3306 -P3306"),
        (["docker", "run", "-p", "80:80", "x"], "docker run -p 80:80 x"),
        (["curl", "-o", "x", "http://x"], "curl -o x http://x"),
        (["mkdir", "-p", "/srv/data"], "mkdir -p /srv/data"),
        (["postgres", "-D", "/srv/data"], "postgres -D /srv/data"),
    ],
)
def test_command_lines(words: list[str], shown: str) -> None:
    assert Masker().command(words) == shown


@pytest.mark.parametrize(
    "text",
    [
        "GET /flights?origin=JFK 200 12ms",
        'secret "db-credentials" not found',
        "password authentication failed for user x",
        "http://127.0.0.1:8080/health mail@example.org",
        "the compass shows north, 3 passed",
        "Basic authentication is off",
        "opened tcp(db:3306) for flights@tcp(db:3306)",
        "the pwned list, an upward curve, the author",
        "the compass: north; bypass = true; a trespass: none",
        "/etc/passwd is readable, the passwd file too",
        'FATAL:  password authentication failed for user "app"',
        "fe_sendauth: no password supplied, password for user x is wrong",
        "commit da39a3ee5e6b4b0d3255bfef95601890afd80709 of /srv/Shop/releases/2026-11-21/public/a.js",
        "image registry.example.org/shop/api@sha256:" + "0123456789abcdef" * 4,
        "GET /services/shop/hooks/orders?sort=name HTTP/1.1",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert Masker().text(text) == text


def test_a_long_line_takes_no_long_time() -> None:
    """Of one character, of many names, of many beginnings: each would hold a rule that looks back."""
    for part in (
        "a",
        "password",
        "-----BEGIN X-----",
        "x://",
        "=" * 3,
        "--a",
        "eyJ",
        '\\"',
        "token ",
        "a:",
        "@tcp(",
        "a:b@tcp(",
        "requirepass ",
        "passwd ",
        'password "',
        "https://hooks.slack.com/services/",
        "https://a.",
        "a?sig=",
        "jdbc:oracle:thin:",
        "aA0",
        "hunter2",
    ):
        Masker(["hunter2" * 20]).text(part * (100_000 // len(part)))


@pytest.mark.parametrize("secret", ["a", "ab", "s3c"])
def test_a_short_password_is_masked_where_a_value_stands(secret: str) -> None:
    masker = Masker([secret])
    for text in (f"pw='{secret}'", f'"{secret}"', f"--auth={secret}", f"x://u:{secret}@db", f"auth:{secret} x"):
        assert secret not in masker.text(text).replace("--auth", "").replace("auth:", ""), text
    # Not every such letter: nobody could read the rest.
    text = f"a table of abacus{secret} and {secret}, s3cond: {secret}nd"
    assert masker.text(text) == text


@given(secret=PLAIN, kept=st.floats(0.5, 1), before=AROUND)
@example(secret="Zq9000.00", kept=0.5, before="").via("the dots of the mark look like the secret's next character")
def test_what_was_cut_off_before_it_came_is_known(secret: str, kept: float, before: str) -> None:
    """As servers do with long statements."""
    part = secret[: max(6, math.ceil(len(secret) * kept))]
    for after in ("", "…", "...", "; next: look there"):
        assert part not in Masker([secret]).text(f"{before}{part}{after}").replace(before, "")
