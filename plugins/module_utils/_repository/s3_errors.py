# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an S3 service or the way to it says, as errors that name the bucket and the way out, and never a credential."""

from __future__ import annotations

import typing as t

from ansible_collections.sre.runbooks.plugins.module_utils._errors import NotPermitted, ObjectMissing, RepositoryError

if t.TYPE_CHECKING:
    from ansible_collections.sre.runbooks.plugins.module_utils._repository.s3_options import S3Location, S3Options

_MISSING = {"NoSuchKey", "NoSuchVersion", "404", "NotFound"}
_DENIED = {"AccessDenied", "403", "Forbidden", "AllAccessDisabled", "UnauthorizedAccess", "MethodNotAllowed"}
_CREDENTIALS = {
    *("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired"),
    *("ExpiredTokenException", "InvalidClientTokenId", "AuthFailure", "UnrecognizedClientException"),
}
_REGION = {
    *("AuthorizationHeaderMalformed", "PermanentRedirect", "301", "TemporaryRedirect", "BadRegion"),
    *("IllegalLocationConstraintException", "IncorrectRegion"),
}
_CLOCK = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_BUSY = {"SlowDown", "ServiceUnavailable", "503", "RequestLimitExceeded", "Throttling", "ThrottlingException", "429"}
_FULL = {"QuotaExceeded", "EntityTooLarge", "InsufficientStorage", "XMinioStorageFull", "507"}
#: Failures after which nobody knows whether the request was carried out.
UNANSWERED = (
    *("ConnectionClosedError", "ReadTimeoutError", "ConnectTimeoutError", "EndpointConnectionError", "HTTPClientError"),
    *("ResponseStreamingError", "IncompleteReadError", "ProxyConnectionError", "ConnectionError"),
)


def code_of(error: BaseException) -> str:
    """S3's code, or the name of the failure that prevented an answer."""
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        return str(response.get("Error", {}).get("Code") or status_of(error) or "")
    return type(error).__name__


def status_of(error: BaseException) -> int | None:
    """The HTTP status of the answer; None where there was none."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return None
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def is_unanswered(error: BaseException) -> bool:
    """Whether the request may have been carried out although it failed."""
    status = status_of(error)
    return type(error).__name__ in UNANSWERED if status is None else status >= 500


def explain(
    error: BaseException, verb: str, what: str, location: S3Location, options: S3Options, skew_s: float | None = None
) -> RepositoryError:
    """The error to raise for what boto3 raised when it was to ``verb`` (such as ``read``) ``what`` (a key).

    :arg skew_s: how far this host's clock is ahead of the store's, where that is known.
    """
    code, status = code_of(error), status_of(error)
    found = _found(error, code, status, options)
    where = f"bucket {location.bucket}" + (f" at {options.endpoint_url}" if options.endpoint_url else "")
    look = _look(location, options)
    if code == "NoSuchBucket" or (code in _MISSING and what.startswith("bucket ")):
        return RepositoryError(
            f"there is no bucket {location.bucket}",
            expected=f"{where}, made before: the collection makes none",
            found=found,
            next_command=f"correct repository_url, or endpoint_url in repository_s3, or make the bucket; {look}",
        )
    if code in _MISSING and verb in ("read", "lock"):
        return ObjectMissing(f"{what} is not in the repository", expected=f"an object in {location.url}", found=found)
    if code in _CREDENTIALS:
        return NotPermitted(
            f"the credentials of {location.url} are not accepted: could not {verb} {what}",
            expected=f"a key that {where} knows, with its secret, not expired",
            found=found,
            next_command="correct repository_s3 (access_key and secret_key, or profile), or the AWS_* environment",
        )
    if code in _CLOCK:
        clock = "" if skew_s is None else f", this host's clock differs from the store's by {skew_s:+.0f} s"
        return RepositoryError(
            f"this host's clock is wrong: could not {verb} {what}",
            expected=f"a clock like that of {where}",
            found=found + clock,
            next_command="set the clock (chronyc tracking, timedatectl)",
        )
    if code in _REGION:
        region = options.region or "none given"
        return RepositoryError(
            f"{location.url} is in another region: could not {verb} {what}",
            expected=f"s3.region as the bucket's, and s3.endpoint_url as the region's; region: {region}",
            found=found,
            next_command=f"aws s3api get-bucket-location --bucket {location.bucket}",
        )
    if code in _DENIED:
        return NotPermitted(
            f"the repository refuses: may not {verb} {what}",
            expected=f"an identity that {where} lets {verb} below {location.prefix or 'its root'}",
            found=found,
            next_command=f"compare the bucket's policy with docs/bucket.md; {look}",
        )
    if code in _FULL:
        return RepositoryError(
            f"the repository is full: could not {verb} {what}",
            expected="room in the bucket",
            found=found,
            next_command="raise its quota, or make room: ansible-playbook sre.runbooks.expire_backups",
        )
    if code in _BUSY:
        return RepositoryError(
            f"the repository is too busy: could not {verb} {what}",
            expected=f"an answer of {where} within {options.max_attempts} attempts",
            found=found,
            next_command="set a smaller concurrency or larger max_attempts in repository_s3, or wait, then: the same command",
        )
    return _way_there(error, f"could not {verb} {what}", where, found, look, options)


def _way_there(
    error: BaseException, message: str, where: str, found: str, look: str, options: S3Options
) -> RepositoryError:
    """Failures before any answer, and what is unknown."""
    kind = type(error).__name__
    if kind in ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound"):
        return NotPermitted(
            f"there are no credentials for the repository: {message}",
            expected="s3.access_key and s3.secret_key, s3.profile, AWS_* in the environment, or a role of this host",
            found=found,
            next_command="set repository_s3 in the inventory, or the environment of the host where the task runs",
        )
    if kind == "SSLError":
        return RepositoryError(
            f"the repository's certificate is not trusted: {message}",
            expected=f"{where} with a certificate that {options.ca_bundle or 'the system'} vouches for",
            found=found,
            next_command="name the authority as ca_bundle in repository_s3; or http:// in its endpoint_url is https://, or the reverse",
        )
    if kind in ("EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "ProxyConnectionError"):
        return RepositoryError(
            f"the repository cannot be reached: {message}",
            expected=f"an S3 service for {where}",
            found=found,
            next_command="correct endpoint_url in repository_s3, or let this host through to it; " + look,
        )
    if kind == "ReadTimeoutError":
        return RepositoryError(
            f"the repository does not answer: {message}",
            expected=f"an answer within {options.read_timeout:g} s",
            found=found,
            next_command="raise read_timeout in repository_s3 where the way is slow, then: the same command",
        )
    return RepositoryError(message, expected=f"{where} to do so", found=found, next_command=look)


def _found(error: BaseException, code: str, status: int | None, options: S3Options) -> str:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        text = str(response.get("Error", {}).get("Message") or "")
        # Without an answer's body, boto3 makes up a message of the status.
        found = f"HTTP {status}, {code}" + (f": {text}" if text and text not in ("Unknown", code) else "")
    else:
        found = f"{type(error).__name__}: {error}"
    return options.redacted(" ".join(found.split()))[:400]


def _look(location: S3Location, options: S3Options) -> str:
    """A command that shows whether the bucket can be seen at all."""
    endpoint = f" --endpoint-url {options.endpoint_url}" if options.endpoint_url else ""
    profile = f" --profile {options.profile}" if options.profile else ""
    return f"aws{profile}{endpoint} s3 ls {location.url}/"
