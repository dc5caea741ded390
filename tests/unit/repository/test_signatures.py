# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What we sign minisign believes, what it signs we believe, and nothing else."""

from __future__ import annotations

import itertools
import pathlib
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._recovery.choose import candidates
from ansible_collections.sre.runbooks.plugins.module_utils._repository import points
from ansible_collections.sre.runbooks.plugins.module_utils._repository.points import list_points, load_point
from ansible_collections.sre.runbooks.plugins.module_utils._repository.proofs import write_proof
from ansible_collections.sre.runbooks.plugins.module_utils._repository.repository import Repository
from ansible_collections.sre.runbooks.plugins.module_utils._repository.signatures import (
    ForgedSignature,
    PublicKey,
    Signer,
    Trust,
    Unsigned,
    create_signed,
    generate_key,
    with_signing,
)

SECRET, PUBLIC = generate_key()
OTHER_SECRET, OTHER = generate_key()
BELIEVED = Trust((PUBLIC,), required=True)

needs_minisign = pytest.mark.skipif(shutil.which("minisign") is None, reason="minisign is not installed")


def minisign(directory: pathlib.Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["minisign", *arguments], cwd=directory, capture_output=True, text=True, check=False)


def path_of(repository: Repository, key: str) -> pathlib.Path:
    return pathlib.Path(repository.store.path) / key  # type: ignore[attr-defined]


@needs_minisign
def test_minisign_believes_our_signature_and_its_trusted_comment(tmp_path: pathlib.Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b"content\n")
    (tmp_path / "manifest.json.minisig").write_bytes(Signer(SECRET).sign(b"content\n", "manifest.json"))
    checked = minisign(tmp_path, "-V", "-m", "manifest.json", "-P", str(PUBLIC))
    assert checked.returncode == 0, checked.stderr
    assert "file:manifest.json" in checked.stdout
    assert minisign(tmp_path, "-V", "-m", "manifest.json", "-P", str(OTHER)).returncode != 0
    (tmp_path / "manifest.json").write_bytes(b"Content\n")
    assert minisign(tmp_path, "-V", "-m", "manifest.json", "-P", str(PUBLIC)).returncode != 0


@needs_minisign
def test_minisign_signs_with_our_key_and_we_with_its(tmp_path: pathlib.Path) -> None:
    (tmp_path / "ours.key").write_text(SECRET)
    (tmp_path / "file").write_bytes(b"content")
    assert minisign(tmp_path, "-S", "-s", "ours.key", "-m", "file").returncode == 0
    assert BELIEVED.verify(b"content", (tmp_path / "file.minisig").read_bytes(), "file") == PUBLIC.name
    assert minisign(tmp_path, "-G", "-W", "-p", "theirs.pub", "-s", "theirs.key").returncode == 0
    theirs = PublicKey.parse((tmp_path / "theirs.pub").read_text())
    assert minisign(tmp_path, "-S", "-s", "theirs.key", "-m", "file").returncode == 0
    assert Trust((PUBLIC, theirs), True).verify(b"content", (tmp_path / "file.minisig").read_bytes(), "file")
    (tmp_path / "file.minisig").write_bytes(Signer((tmp_path / "theirs.key").read_text()).sign(b"content", "file"))
    assert minisign(tmp_path, "-V", "-m", "file", "-p", "theirs.pub").returncode == 0


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=200), data=st.data())
def test_a_changed_byte_of_content_or_signature_is_noticed(content: bytes, data: st.DataObject) -> None:
    signature = bytearray(Signer(SECRET).sign(content, "x"))
    assert BELIEVED.verify(content, bytes(signature), "x") == PUBLIC.name
    # The first line is what minisign too calls untrusted.
    at = data.draw(st.integers(signature.index(b"\n") + 1, len(signature) - 1))
    signature[at] ^= 1 << data.draw(st.integers(0, 6))
    with pytest.raises(ForgedSignature):
        BELIEVED.verify(content, bytes(signature), "x")
    with pytest.raises(ForgedSignature):
        BELIEVED.verify(content + b"x", Signer(SECRET).sign(content, "x"), "x")


def test_bits_that_base64_does_not_use_are_noticed_too() -> None:
    lines = Signer(SECRET).sign(b"c", "x").split(b"\n")
    for number in (1, 3):
        padding = len(lines[number]) - len(lines[number].rstrip(b"="))
        assert padding, "only where there is padding are there bits to spare"
        at = len(lines[number]) - padding - 1
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        other = alphabet[alphabet.index(lines[number][at]) ^ 1]
        changed = lines[number][:at] + bytes([other]) + lines[number][at + 1 :]
        with pytest.raises(ForgedSignature):
            BELIEVED.verify(b"c", b"\n".join([*lines[:number], changed, *lines[number + 1 :]]), "x")


def test_another_key_even_under_the_same_number_is_not_believed() -> None:
    with pytest.raises(ForgedSignature, match="nobody here trusts"):
        BELIEVED.verify(b"c", Signer(OTHER_SECRET).sign(b"c", "x"), "x")
    posing = Trust((PublicKey(OTHER.key_id, PUBLIC.key),), True)
    with pytest.raises(ForgedSignature, match="does not fit"):
        posing.verify(b"c", Signer(OTHER_SECRET).sign(b"c", "x"), "x")


@pytest.mark.parametrize("text", ["", "x", "RWQ", "untrusted comment: only\n", "AGE-SECRET-KEY-1", "é"])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    for read in (PublicKey.parse, Signer):
        with pytest.raises(InvalidInput):
            read(text)
    with pytest.raises(InvalidInput) as raised:
        Signer("c2VjcmV0" * 5)
    assert "c2VjcmV0" not in str(raised.value)


@needs_minisign
def test_a_key_with_a_password_is_refused_with_the_way_out() -> None:
    lines = SECRET.splitlines()
    encrypted = "RWRTY0Iy" + lines[1][8:]
    with pytest.raises(InvalidInput, match="minisign -C -W"):
        Signer(encrypted)


def test_options_that_contradict_each_other_are_refused(repository: Repository, tmp_path: pathlib.Path) -> None:
    assert with_signing(repository, {}) == repository
    with pytest.raises(InvalidInput, match="no key is trusted"):
        with_signing(repository, {"require_signature": True})
    with pytest.raises(InvalidInput, match="not among those"):
        with_signing(repository, {"signing_key": SECRET, "signing_public_keys": [str(OTHER)]})
    with pytest.raises(InvalidInput, match="ls -l"):
        with_signing(repository, {"signing_key_file": str(tmp_path / "none")})
    key = tmp_path / "key"
    key.write_text(SECRET)
    signing = with_signing(repository, {"signing_key_file": str(key), "signing_public_keys": [str(PUBLIC)]})
    assert signing.signer is not None and signing.signer.public_key == PUBLIC


def point_in(repository: Repository, name: str = "db") -> points.RecoveryPoint:
    writer = points.begin_point(repository, name, "postgresql", None)
    repository.store.create(writer.object_key("a"), b"x")
    return writer.commit(engine_version="15", consistency_time=writer.started, content={}, restore_guide="")


def handles(repository: Repository) -> tuple[Repository, Repository, Repository]:
    """One that signs, one that wants signatures, one that only checks those that are there."""
    public = {"signing_public_keys": [str(PUBLIC)]}
    return (
        with_signing(repository, {"signing_key": SECRET}),
        with_signing(repository, {**public, "require_signature": True}),
        with_signing(repository, public),
    )


@needs_minisign
def test_a_signed_point_is_chosen_and_its_manifest_and_proofs_check_by_hand(repository: Repository) -> None:
    signing, strict, _lenient = handles(repository)
    point = point_in(signing)
    write_proof(signing, point, "verified", None, 1.0, {})
    assert load_point(strict, "db", point.point_id).level == "verified"
    documents = [path_of(repository, point.manifest_key), *path_of(repository, f"{point.prefix}proofs").glob("*.json")]
    assert len(documents) == 3
    for document in documents:
        assert minisign(document.parent, "-V", "-m", document.name, "-P", str(PUBLIC)).returncode == 0


def test_an_unsigned_point_is_set_aside_only_where_signatures_are_required(repository: Repository) -> None:
    _signing, strict, lenient = handles(repository)
    point = point_in(repository)
    assert load_point(lenient, "db", point.point_id).point_id == point.point_id
    with pytest.raises(Unsigned, match="require_signature"):
        load_point(strict, "db", point.point_id)
    listing = list_points(strict, "db")
    assert [found.point_id for found in listing.damaged] == [point.point_id] and listing.points == []


def test_a_wrong_signature_is_refused_everywhere(repository: Repository) -> None:
    signing, strict, lenient = handles(repository)
    point = point_in(with_signing(repository, {"signing_key": OTHER_SECRET}))
    for handle in (strict, lenient):
        with pytest.raises(ForgedSignature):
            load_point(handle, "db", point.point_id)
    replaced = point_in(signing)
    # The signature of another manifest, by the right key.
    path_of(repository, replaced.manifest_key + ".minisig").write_bytes(
        path_of(repository, point_in(signing).manifest_key + ".minisig").read_bytes()
    )
    with pytest.raises(ForgedSignature):
        load_point(lenient, "db", replaced.point_id)


def test_a_restore_passes_over_a_newer_point_without_a_signature_and_says_so(
    repository: Repository, monkeypatch
) -> None:
    signing, strict, _lenient = handles(repository)
    numbers = itertools.count()  # ids of one second in the order in which they were given
    monkeypatch.setattr(points.secrets, "token_hex", lambda size: f"{next(numbers):04x}")
    believed, newer = point_in(signing), point_in(repository)
    listing = list_points(strict, "db")
    chosen, passed_over = candidates(listing, "newest", None, 3)
    assert [point.point_id for point in chosen] == [believed.point_id]
    assert [choice.point_id for choice in passed_over] == [newer.point_id]
    assert "bears no signature" in str(passed_over[0].reason)
    with pytest.raises(IntegrityError, match="bears no signature"):
        candidates(listing, newer.point_id, None, 3)


def test_an_unsigned_proof_raises_nothing_where_signatures_are_required(repository: Repository) -> None:
    signing, strict, lenient = handles(repository)
    point = point_in(signing)
    write_proof(repository, point, "asserted", None, 1.0, {})
    assert load_point(strict, "db", point.point_id).level == "taken"
    assert load_point(lenient, "db", point.point_id).level == "asserted"


def test_the_signature_is_there_before_the_document(repository: Repository, monkeypatch) -> None:
    signing, _strict, _lenient = handles(repository)
    created: list[str] = []
    monkeypatch.setattr(repository.store, "create", lambda key, data: created.append(key))
    create_signed(signing, "components/db/x.json", b"{}")
    assert created == ["components/db/x.json.minisig", "components/db/x.json"]
