# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headers of age files: read, opened and written anew, against the age program and the pyrage library."""

from __future__ import annotations

import base64
import pathlib
import shutil
import subprocess

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._errors import IntegrityError, InvalidInput
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline import age_header
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_header import (
    HEADER_LIMIT,
    HeaderCutOff,
    open_first_chunk,
    open_header,
    read_header,
    write_header,
)
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.age_keys import (
    X25519Identity,
    identities_in,
    recipient_key,
)


def made(count: int) -> list[X25519Identity]:
    text = "\n".join(str(pyrage.x25519.Identity.generate()) for _ in range(count))
    return identities_in(text)[0]


POOL = made(12)


def encrypted(content: bytes, identities: list[X25519Identity]) -> bytes:
    return pyrage.encrypt(content, [pyrage.x25519.Recipient.from_str(each.recipient) for each in identities])


def decrypted(data: bytes, identity: X25519Identity) -> bytes:
    return pyrage.decrypt(data, [pyrage.x25519.Identity.from_str(identity.text())])


def by_age(data: bytes, identity: X25519Identity, tmp_path: pathlib.Path) -> subprocess.CompletedProcess[bytes]:
    (tmp_path / "identity").write_text(identity.text() + "\n")
    return subprocess.run(["age", "-d", "-i", str(tmp_path / "identity")], input=data, capture_output=True)


def rewrapped(data: bytes, opener: X25519Identity, recipients: list[X25519Identity]) -> bytes:
    header = read_header(data)
    opened = open_header(header, [opener])
    assert opened is not None and opened[1] == opener
    return write_header(opened[0], [each.recipient for each in recipients]) + data[header.length :]


needs_age = pytest.mark.skipif(shutil.which("age") is None, reason="needs age")
positions = st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=8, unique=True)


@settings(max_examples=60)
@given(positions, positions, st.integers(0, 200_000) | st.sampled_from([0, 65535, 65536, 65537, 131072]), st.data())
def test_a_new_header_opens_the_same_payload(old: list[int], new: list[int], size: int, data: st.DataObject) -> None:
    content = bytes(size)
    opener = POOL[data.draw(st.sampled_from(old))]
    stored = encrypted(content, [POOL[number] for number in old])
    changed = rewrapped(stored, opener, [POOL[number] for number in new])
    for number, identity in enumerate(POOL):
        if number in new:
            assert decrypted(changed, identity) == content
        else:
            assert open_header(read_header(changed), [identity]) is None
            with pytest.raises(pyrage.DecryptError):
                decrypted(changed, identity)


@needs_age
@pytest.mark.parametrize("size", [0, 1, 65536, 200_000])
def test_both_directions_with_the_program(tmp_path: pathlib.Path, size: int) -> None:
    old, new, other = POOL[:3]
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    stored = subprocess.run(["age", "-r", old.recipient], input=content, capture_output=True, check=True).stdout
    changed = rewrapped(stored, old, [new, other])
    for identity in (new, other):
        assert by_age(changed, identity, tmp_path).stdout == content
    assert b"no identity matched" in by_age(changed, old, tmp_path).stderr
    # and back again
    assert by_age(rewrapped(changed, other, [old]), old, tmp_path).stdout == content


@needs_age
def test_identities_and_recipients_are_spelt_as_the_program_spells_them(tmp_path: pathlib.Path) -> None:
    subprocess.run(["age-keygen", "-o", str(tmp_path / "key")], check=True, capture_output=True)
    text = (tmp_path / "key").read_text()
    (identity,), others = identities_in(text)
    recipient = subprocess.run(["age-keygen", "-y", str(tmp_path / "key")], capture_output=True, text=True).stdout
    assert identity.recipient == recipient.strip() and not others
    assert identity.text() in text
    assert recipient_key(identity.recipient) == identity.public
    assert identity.text() not in repr(identity)


@pytest.mark.parametrize("size", [0, 1, 65535, 65536, 65537, 200_000])
def test_the_first_chunk_proves_that_key_and_payload_belong_together(size: int) -> None:
    content = bytes(size)
    stored = encrypted(content, POOL[:1])
    header = read_header(stored)
    opened = open_header(header, POOL[:1])
    assert opened is not None
    payload = stored[header.length :]
    assert open_first_chunk(opened[0], payload, len(payload)) == content[:65536]
    for wrong in (payload[1:], payload[:20], b""):
        with pytest.raises(IntegrityError, match="damaged"):
            open_first_chunk(opened[0], wrong, len(wrong))
    with pytest.raises(IntegrityError):
        open_first_chunk(bytes(16), payload, len(payload))


def test_stanzas_of_other_kinds_are_read_past(tmp_path: pathlib.Path) -> None:
    scrypt = pyrage.passphrase.encrypt(b"x", "a passphrase")
    assert [stanza.kind for stanza in read_header(scrypt).stanzas] == ["scrypt"]
    assert open_header(read_header(scrypt), POOL) is None
    recipients = [POOL[0].recipient]
    if shutil.which("ssh-keygen") and shutil.which("age"):
        for kind in ("ed25519", "rsa"):
            subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / kind)], check=True)
            recipients.append((tmp_path / f"{kind}.pub").read_text().strip())
        argv = ["age"] + [word for recipient in recipients for word in ("-r", recipient)]
        stored = subprocess.run(argv, input=b"content", capture_output=True, check=True).stdout
        assert [stanza.kind for stanza in read_header(stored).stanzas] == ["X25519", "ssh-ed25519", "ssh-rsa"]
        assert decrypted(rewrapped(stored, POOL[0], POOL[1:2]), POOL[1]) == b"content"


def test_grease_is_read_past() -> None:
    """Stanzas that nobody understands, of every length a body may have, in a header that is authentic."""
    file_key = bytes(range(16))
    whole = write_header(file_key, [POOL[0].recipient])
    lines = whole.split(b"---")[0]
    for length in (0, 1, 47, 48, 49, 96, 1000):
        letters = base64.b64encode(bytes(length)).rstrip(b"=")
        wrapped = b"\n".join(letters[start : start + 64] for start in range(0, len(letters) + 1, 64))
        signed = lines + b"-> joint-grease ^ ~{ x\n" + wrapped + b"\n---"
        mac = base64.b64encode(age_header._mac(file_key, signed)).rstrip(b"=")
        header = read_header(signed + b" " + mac + b"\n" + bytes(100))
        assert header.stanzas[1].body == bytes(length)
        assert open_header(header, [POOL[0]]) == (file_key, POOL[0])


FOR_TWO = encrypted(b"content", POOL[:2])


@settings(max_examples=300)
@given(st.integers(0, read_header(FOR_TWO).length - 1), st.integers(1, 255))
def test_any_changed_byte_is_noticed(position: int, change: int) -> None:
    stored = bytearray(FOR_TWO)
    stored[position] ^= change
    # Whatever becomes of one stanza, the other one opens and shows that the header is not the one written.
    with pytest.raises(IntegrityError):
        open_header(read_header(bytes(stored)), POOL[:2])


@settings(max_examples=300)
@given(st.binary(max_size=400), st.booleans())
def test_nonsense_is_refused_and_nothing_else_raised(junk: bytes, versioned: bool) -> None:
    with pytest.raises(IntegrityError):
        read_header((b"age-encryption.org/v1\n" if versioned else b"") + junk)


def test_a_header_that_is_cut_off_says_so_at_every_length() -> None:
    stored = encrypted(b"content", POOL[:3])
    length = read_header(stored).length
    for end in range(length):
        with pytest.raises(HeaderCutOff):
            read_header(stored[:end])
    assert read_header(stored[:length]).length == length


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"-> X25519 ", b"-> X25519  "),
        lambda text: text.replace(b"-> X25519 ", b"-> X25519 \xff"),
        lambda text: text.replace(b"-> ", b"->"),
        lambda text: text.replace(b"\n", b"\r\n"),
        lambda text: text.replace(b"/v1", b"/v2"),
        lambda text: text[: text.index(b"-> ")] + text[text.index(b"---") :],
        lambda text: text.replace(b"--- ", b"---"),
        lambda text: text.replace(b"-> X25519 ", b"-> X25519 extra "),
    ],
)
def test_a_forged_header_is_refused(change) -> None:
    with pytest.raises(IntegrityError, match="header is damaged"):
        open_header(read_header(change(encrypted(b"content", POOL[:1]))), POOL[:1])


def test_an_endless_header_is_not_read() -> None:
    with pytest.raises(IntegrityError, match="bytes"):
        read_header(b"age-encryption.org/v1\n" + b"-> a b\n\n" * HEADER_LIMIT)


def test_a_header_over_the_limit_is_refused_even_if_it_is_whole() -> None:
    long = write_header(bytes(16), [POOL[0].recipient] * (HEADER_LIMIT // 90))
    assert HEADER_LIMIT < len(long) < 2 * HEADER_LIMIT
    with pytest.raises(IntegrityError, match=str(HEADER_LIMIT)):
        read_header(long + b"payload")


def test_there_is_one_spelling_of_base64() -> None:
    """The last letter of 32 bytes carries two bits that mean nothing: they have to be zero."""
    whole = write_header(bytes(16), [POOL[0].recipient])
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    letter = alphabet.index(whole[-2])
    for other in range(1, 4):
        with pytest.raises(IntegrityError, match="base64"):
            read_header(whole[:-2] + bytes([alphabet[letter + other]]) + b"\n")


def test_a_share_of_low_order_is_refused() -> None:
    whole = write_header(bytes(16), [POOL[0].recipient])
    share = whole.split(b"X25519 ")[1][:43]
    with pytest.raises(IntegrityError, match="low order"):
        open_header(read_header(whole.replace(share, b"A" * 43)), POOL[:1])


@pytest.mark.parametrize(
    "recipient",
    [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI",
        "age1pq1qqqq",
        POOL[0].recipient[:-1] + ("p" if POOL[0].recipient[-1] == "q" else "q"),
        "",
    ],
    ids=["ssh", "post-quantum", "mistyped", "empty"],
)
def test_recipients_that_no_header_can_be_written_for(recipient: str) -> None:
    if recipient == POOL[0].recipient:
        recipient = recipient[:-1] + "p"
    assert recipient_key(recipient) is None
    with pytest.raises(InvalidInput):
        write_header(bytes(16), [recipient])


def test_a_damaged_identity_is_refused_and_not_repeated() -> None:
    text = POOL[0].text()
    wrong = text[:-1] + ("Q" if text[-1] != "Q" else "P")
    with pytest.raises(InvalidInput) as refused:
        identities_in(f"# a comment\n\n{wrong}\n")
    assert "line 3" in str(refused.value) and wrong[20:40] not in str(refused.value)
    found, others = identities_in(f"{text}\n{text.lower()}\nAGE-PLUGIN-X-1ABC\n")
    assert found == [POOL[0]] and others
