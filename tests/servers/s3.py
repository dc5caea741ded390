# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real S3 server for tests: versitygw with versioning and object lock, users of its own, plain or with TLS.

Loopback only, gone afterwards, and tied to the test process, so that even a killed test run leaves no server.
"""

from __future__ import annotations

import collections.abc
import contextlib
import dataclasses
import json
import os
import pathlib
import secrets
import shutil
import string
import subprocess
import tempfile
import time
import typing as t
import urllib.request

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._process import child_setup
from tests.servers.certificates import Certificates, make_certificates
from tools.local_environment import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGION = "us-east-1"
#: Who exists beside the root user. What each may do is the bucket policy's matter.
IDENTITIES = ("backup", "prover", "retention", "reader", "attacker")
_MINE = ("AWS_", "SRE_RUNBOOKS_S3_")
#: No checksums in trailers: over TLS, the gateway does not always read to their end before it answers.
_CONFIG: dict[str, t.Any] = {
    "s3": {"addressing_style": "path"},
    "retries": {"total_max_attempts": 2},
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}
_RULES = {"governance": "GOVERNANCE", "compliance": "COMPLIANCE"}


@dataclasses.dataclass(frozen=True)
class Identity:
    """A pair of keys."""

    name: str
    access_key: str
    secret_key: str

    @classmethod
    def new(cls, name: str) -> Identity:
        return cls(name, f"{name}{secrets.token_hex(3)}".upper(), secrets.token_urlsafe(24))


@dataclasses.dataclass
class Gateway:
    """A running gateway. ``url`` is where it is; another way to it, such as a proxy, may be given to each method."""

    url: str
    root: Identity
    users: dict[str, Identity]
    certificates: Certificates | None
    process: subprocess.Popen[bytes]
    directory: str

    @property
    def ca_bundle(self) -> str | None:
        return self.certificates.ca if self.certificates else None

    def client(self, identity: str | Identity = "root", url: str | None = None, **config: t.Any) -> t.Any:
        """A boto3 client that knows nothing of this machine's configuration; ``config`` as botocore's Config."""
        import boto3
        from botocore.config import Config

        keys = self.identity(identity)
        with bare_environment():
            return boto3.session.Session().client(
                "s3",
                endpoint_url=url or self.url,
                region_name=REGION,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                verify=self.ca_bundle,
                config=Config(**{**_CONFIG, **config}),
            )

    def options(self, identity: str | Identity = "backup", url: str | None = None) -> dict[str, t.Any]:
        """The option ``s3`` of the collection's modules."""
        keys = self.identity(identity)
        options = {
            "endpoint_url": url or self.url,
            "region": REGION,
            "access_key": keys.access_key,
            "secret_key": keys.secret_key,
            "addressing_style": "path",
        }
        return {**options, "ca_bundle": self.ca_bundle} if self.ca_bundle else options

    def identity(self, identity: str | Identity) -> Identity:
        if isinstance(identity, Identity):
            return identity
        return self.root if identity == "root" else self.users[identity]

    def add_user(self, name: str) -> Identity:
        """One more ordinary user, without any rights yet."""
        user = Identity.new(name)
        subprocess.run(
            [program("versitygw"), "admin", "--endpoint-url", self.url, "--allow-insecure", "create-user"]
            + ["--access", user.access_key, "--secret", user.secret_key, "--role", "user"],
            env={
                "PATH": os.environ["PATH"],
                "ADMIN_ACCESS_KEY_ID": self.root.access_key,
                "ADMIN_SECRET_ACCESS_KEY": self.root.secret_key,
            },
            capture_output=True,
            check=True,
        )
        self.users[name] = user
        return user

    def make_bucket(
        self,
        name: str | None = None,
        versioning: bool = True,
        lock: bool = True,
        lock_mode: str | None = None,
        lock_days: int = 1,
        open_to: collections.abc.Iterable[str] = ("backup",),
    ) -> str:
        """A new bucket of the root user: its name.

        :arg lock: object lock is possible, which needs versioning.
        :arg lock_mode: ``governance`` or ``compliance``: what new objects get by default, for ``lock_days``.
        :arg open_to: users who may do everything in it, but not change its configuration.
        """
        bucket = name or f"bucket-{secrets.token_hex(5)}"
        root = self.client()
        root.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=lock)
        if versioning:
            root.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        if lock_mode:
            root.put_object_lock_configuration(
                Bucket=bucket,
                ObjectLockConfiguration={
                    "ObjectLockEnabled": "Enabled",
                    "Rule": {"DefaultRetention": {"Mode": _RULES[lock_mode], "Days": lock_days}},
                },
            )
        principals = [self.users[user].access_key for user in open_to]
        if principals:
            self.set_policy(bucket, [allow(principals, _EVERYTHING_IN_IT, bucket)])
        return bucket

    def set_policy(self, bucket: str, statements: list[dict[str, t.Any]]) -> None:
        # Without names and spaces: the gateway keeps it in an extended attribute, which ext4 limits to 4 KiB in all.
        unnamed = [{key: value for key, value in statement.items() if key != "Sid"} for statement in statements]
        document = {"Version": "2012-10-17", "Statement": unnamed}
        self.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(document, separators=(",", ":")))

    def set_documented_policy(self, bucket: str, prefix: str = "") -> None:
        """The policy of ``extensions/bucket``, without what only AWS evaluates."""
        self.set_policy(bucket, documented_policy(bucket, prefix, {n: u.access_key for n, u in self.users.items()}))


def documented_policy(
    bucket: str, prefix: str, principals: dict[str, str], name: str = "policy.json"
) -> list[dict[str, t.Any]]:
    """The statements of a template of ``extensions/bucket``, filled in."""
    template = string.Template((ROOT / "extensions" / "bucket" / name).read_text(encoding="utf-8"))
    filled = template.substitute(bucket=bucket, prefix=prefix, longest_lock_days=3653, **principals)
    return t.cast("list[dict[str, t.Any]]", json.loads(filled)["Statement"])


_EVERYTHING_IN_IT = [
    *("s3:Get*", "s3:List*", "s3:PutObject*", "s3:DeleteObject*", "s3:AbortMultipartUpload"),
    "s3:BypassGovernanceRetention",
]


def allow(principals: list[str], actions: list[str], bucket: str, prefix: str = "") -> dict[str, t.Any]:
    """A statement of a bucket policy about the bucket itself and what lies below a prefix."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/{prefix}*"]
    return {"Effect": "Allow", "Principal": {"AWS": principals}, "Action": actions, "Resource": resources}


def program(name: str) -> str:
    """A program that ``tools/servers`` builds, once for this machine."""
    found = subprocess.run([str(ROOT / "tools" / "servers"), name], stdout=subprocess.PIPE, check=True, text=True)
    return found.stdout.strip()


@contextlib.contextmanager
def bare_environment() -> collections.abc.Iterator[None]:
    """Without what this machine's environment says about S3, such as AWS_CA_BUNDLE or AWS_PROFILE."""
    kept = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_MINE)}
    # Nor does anything ask the address at which a cloud tells its machines their credentials.
    os.environ.update(AWS_EC2_METADATA_DISABLED="true", AWS_CONFIG_FILE=os.devnull)
    os.environ.update(AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith(_MINE)]:
            del os.environ[name]
        os.environ.update(kept)


@contextlib.contextmanager
def running_gateway(tls: bool = False) -> collections.abc.Iterator[Gateway]:
    """A new gateway with its users and no bucket; stopped and deleted at the end."""
    binary = program("versitygw")
    directory = _directory()
    root = Identity.new("root")
    port = free_port()
    process = None
    try:
        for name in ("objects", "versions", "iam"):
            os.mkdir(os.path.join(directory, name))
        certificates = make_certificates(os.path.join(directory, "tls")) if tls else None
        arguments = ["--port", f"127.0.0.1:{port}", "--region", REGION, "--iam-dir", os.path.join(directory, "iam")]
        arguments += ["--iam-cache-disable", "--quiet", "--health", "/gateway-health"]
        if certificates:
            arguments += ["--cert", certificates.certificate, "--key", certificates.key]
        # Not with a sidecar directory: there, 1.8.0 takes a key for taken whose last version was deleted.
        storage = ["--versioning-dir", os.path.join(directory, "versions"), os.path.join(directory, "objects")]
        with open(os.path.join(directory, "log"), "wb") as log:
            process = subprocess.Popen(
                [binary, *arguments, "posix", *storage],
                env={
                    "PATH": os.environ["PATH"],
                    "ROOT_ACCESS_KEY": root.access_key,
                    "ROOT_SECRET_KEY": root.secret_key,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=child_setup(),
            )
        url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        gateway = Gateway(url, root, {}, certificates, process, directory)
        _wait(gateway)
        for name in IDENTITIES:
            gateway.add_user(name)
        yield gateway
    finally:
        if process:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _directory() -> str:
    """A new directory on a file system with extended attributes, where the gateway keeps what it knows of objects."""
    for place in (tempfile.gettempdir(), "/var/tmp", str(pathlib.Path(program("versitygw")).parents[1])):
        try:
            directory = tempfile.mkdtemp(prefix="srs3-", dir=place)
        except OSError:
            continue
        with contextlib.suppress(OSError):
            os.setxattr(directory, "user.sre_runbooks", b"-" * 3800)
            os.removexattr(directory, "user.sre_runbooks")
            return directory
        os.rmdir(directory)
    raise RuntimeError("no file system with extended attributes for an S3 gateway; set TMPDIR to one")


def _wait(gateway: Gateway, seconds: float = 120) -> None:
    context = gateway.certificates.context() if gateway.certificates else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    end = time.monotonic() + seconds
    while True:
        try:
            with opener.open(gateway.url + "/gateway-health", timeout=10):
                return
        except OSError as error:
            if gateway.process.poll() is not None or time.monotonic() > end:
                log = pathlib.Path(gateway.directory, "log").read_text(encoding="utf-8", errors="replace")
                raise RuntimeError(f"versitygw does not answer at {gateway.url}: {error}\n{log}") from None
            time.sleep(0.05)


@pytest.fixture(scope="session")
def s3_gateway() -> collections.abc.Iterator[Gateway]:
    with bare_environment(), running_gateway() as gateway:
        yield gateway


@pytest.fixture(scope="session")
def s3_gateway_tls() -> collections.abc.Iterator[Gateway]:
    with bare_environment(), running_gateway(tls=True) as gateway:
        yield gateway


@pytest.fixture
def s3_bucket(s3_gateway: Gateway) -> str:
    """A new bucket with versions and locks (no default lock), open to the user ``backup``."""
    return s3_gateway.make_bucket()
