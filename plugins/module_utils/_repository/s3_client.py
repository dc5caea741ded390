# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to an S3 service: boto3's client with our options, and the service's clock as its answers tell it."""

from __future__ import annotations

import datetime
import email.utils
import threading
import time
import typing as t
import warnings

from ansible_collections.sre.runbooks.plugins.module_utils import _clock
from ansible_collections.sre.runbooks.plugins.module_utils._errors import InvalidInput, MissingRequirement
from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_errors import explain

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import S3Location, S3Options

#: An answer's Date is in whole seconds.
_RESOLUTION_S = 1.0
#: After so many seconds without an answer the clock is asked for again.
_FRESH_S = 60.0


class ServiceClock:
    """The service's time, from the ``Date`` of its answers: each narrows down between which two moments it can be."""

    def __init__(self, monotonic: t.Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._low = self._high = 0.0  # service's seconds since the epoch minus our monotonic ones
        self._observed: float | None = None

    def observe(self, date: str, sent: float) -> None:
        """Note an answer's ``Date`` to a request sent at that monotonic time; what is not a date is left out."""
        try:
            seconds = email.utils.parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError):
            return
        received = self._monotonic()
        low, high = seconds - received, seconds + _RESOLUTION_S - sent
        with self._lock:
            if self._observed is None or low > self._high or high < self._low:
                self._low, self._high = low, high  # the first one, or somebody set the service's clock
            else:
                self._low, self._high = max(self._low, low), min(self._high, high)
            self._observed = received

    def now(self) -> datetime.datetime | None:
        """The service's time; None when no answer is recent enough."""
        moment = self._monotonic()
        with self._lock:
            if self._observed is None or moment - self._observed > _FRESH_S:
                return None
            seconds = moment + (self._low + self._high) / 2
        return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)

    def skew_s(self) -> float | None:
        """Seconds that this host's clock is ahead of the service's; None when that is not known."""
        service = self.now()
        return None if service is None else (_clock.now() - service).total_seconds()


def make_client(location: S3Location, options: S3Options, clock: ServiceClock) -> t.Any:
    """boto3's client for the bucket's service. Nothing is asked of it yet.

    :raises MissingRequirement: there is no boto3, or too old a one.
    :raises RepositoryError: a profile that does not exist, and the like.
    """
    try:
        import boto3
        import botocore.exceptions
        from botocore.config import Config
    except ImportError:
        raise _without_boto3("none") from None
    try:
        config = Config(
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            retries={"mode": "standard", "total_max_attempts": options.max_attempts},
            max_pool_connections=max(10, options.concurrency * 2),
            # We give the checksum of every byte that we write, and a manifest knows that of every byte that we read.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": options.addressing_style},
            user_agent_extra="sre.runbooks",
        )
    except TypeError:
        raise _without_boto3(boto3.__version__) from None
    try:
        session = boto3.session.Session(
            aws_access_key_id=options.access_key,
            aws_secret_access_key=options.secret_key,
            aws_session_token=options.session_token,
            profile_name=options.profile,
            region_name=options.region,
        )
        client = session.client(
            "s3",
            endpoint_url=options.endpoint_url,
            verify=(options.ca_bundle or None) if options.verify_certificates else False,
            config=config,
        )
    except ValueError as error:  # not a URL
        raise InvalidInput("s3.endpoint_url is not usable", found=options.redacted(str(error))[:300]) from None
    except botocore.exceptions.BotoCoreError as error:
        raise explain(error, "open", location.url, location, options) from None
    if not options.verify_certificates:
        warnings.filterwarnings("ignore", message="Unverified HTTPS request")  # it was asked for
    _watch(client, clock)
    return client


def _watch(client: t.Any, clock: ServiceClock) -> None:
    """Let the clock see every answer, the failed ones too."""
    sent = threading.local()

    def remember(**_event: t.Any) -> None:
        sent.at = time.monotonic()

    def observe(response_dict: t.Mapping[str, t.Any] | None = None, **_event: t.Any) -> None:
        headers = (response_dict or {}).get("headers") or {}
        if "date" in headers:
            clock.observe(headers["date"], getattr(sent, "at", time.monotonic()))

    client.meta.events.register("before-send.s3", remember)
    client.meta.events.register("response-received.s3", observe)


def _without_boto3(found: str) -> MissingRequirement:
    return MissingRequirement(
        "an s3:// repository needs boto3",
        expected="the Python library boto3, 1.36 or newer, for the interpreter that runs the task",
        found=found,
        next_command="ansible-playbook sre.runbooks.prepare_hosts",
    )
