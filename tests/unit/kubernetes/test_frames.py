# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The framing of streams into and out of pods; the machine's own sh plays the pod."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils._kubernetes.frames import (
    GREETING,
    PIECE,
    TRAILER,
    End,
    FrameReader,
    FrameWriter,
    StreamBroken,
    command,
)


def pod(argv: list[str], sent: bytes | None = None) -> bytes:
    """What a pod answers that is given ``sent`` on its standard input, which ends there."""
    done = subprocess.run(
        command(argv, sent is not None), input=sent or b"", capture_output=True, timeout=60, check=True
    )
    return done.stdout


def read(answer: bytes, seed: int = 0) -> tuple[bytes, End]:
    """The payload of an answer that arrives in pieces of any size."""
    reader, payload, dice, rest = FrameReader(), b"", random.Random(seed), answer
    while rest:
        size = dice.choice([1, 7, TRAILER - 1, TRAILER, 4096, len(rest)])
        payload += reader.feed(rest[:size])
        rest = rest[size:]
    return payload, reader.finish()


def framed(content: bytes) -> bytes:
    return b"".join(FrameWriter().frames([content]))


PRINTER = [sys.executable, "-c", "import sys; sys.stdout.buffer.write(bytes.fromhex(sys.argv[1]))"]


@pytest.mark.parametrize("size", [0, 1, TRAILER, 300_000, 5_000_000])
def test_output_arrives_as_it_was(tmp_path, size):
    content = random.Random(size).randbytes(size)
    (tmp_path / "content").write_bytes(content)
    payload, end = read(pod(["cat", str(tmp_path / "content")]))
    assert payload == content
    assert end == End(0, size, hashlib.sha256(content).hexdigest(), None)


@settings(deadline=None, max_examples=15)
@given(st.binary(max_size=400))
def test_any_output_arrives_as_it_was(content):
    answer = pod([*PRINTER, content.hex()])
    assert read(answer, len(content))[0] == content
    cut = random.Random(content).randrange(len(answer))
    with pytest.raises(StreamBroken):
        read(answer[:cut])


def test_an_output_cut_at_any_byte_is_missed():
    answer = pod(["printf", "%s", "a short text"])
    for length in range(len(answer)):
        with pytest.raises(StreamBroken):
            read(answer[:length])
    assert read(answer)[0] == b"a short text"


def test_an_output_that_holds_a_trailer_of_its_own_is_missed_when_it_is_cut_behind_it():
    """A program may print what looks like our last line; its hash is not that of what came before it."""
    forged = b"end exit=0 length=0 sha256=" + b"0" * 64 + b" whole=0 received=-"
    answer = pod([*PRINTER, (b"x" * 10 + forged.ljust(TRAILER - 1) + b"\n" + b"more").hex()])
    with pytest.raises(StreamBroken, match="something else"):
        read(answer[: len(GREETING) + 10 + TRAILER])


def test_a_changed_byte_is_noticed():
    answer = bytearray(pod(["printf", "%s", "a short text"]))
    answer[len(GREETING) + 3] ^= 1
    with pytest.raises(StreamBroken, match="arrived as something else"):
        read(bytes(answer))


def test_bytes_after_the_trailer_are_noticed():
    with pytest.raises(StreamBroken):
        read(pod(["true"]) + b"\n")


@pytest.mark.parametrize("size", [0, 1, 70_000, PIECE, PIECE + 1, 3_000_000])
def test_input_arrives_as_it_was(size):
    content = random.Random(size).randbytes(size)
    writer = FrameWriter()
    payload, end = read(pod(["cat"], b"".join(writer.frames([content[: size // 3], content[size // 3 :]]))))
    assert payload == content
    writer.require(end)


def test_an_input_cut_at_any_byte_is_missed():
    content = b"first\nsecond\n"
    sent = framed(content)
    # One shell per cut is dear: the borders, and some in between.
    for length in sorted({0, 1, 2, 3, len(sent) - 3, len(sent) - 2, *random.Random(7).sample(range(len(sent) - 1), 6)}):
        writer = FrameWriter()
        assert b"".join(writer.frames([content])) == sent
        _payload, end = read(pod(["cat"], sent[:length]))
        with pytest.raises(StreamBroken, match=r"ended early|something else"):
            writer.require(end)


def test_an_input_of_other_bytes_is_noticed():
    writer = FrameWriter()
    sent = b"".join(writer.frames([b"abc"])).replace(b"abc", b"abd")
    with pytest.raises(StreamBroken, match="given something else"):
        writer.require(read(pod(["cat"], sent))[1])


def test_the_exit_code_arrives_and_the_shell_itself_succeeds():
    payload, end = read(pod(["sh", "-c", "echo partial; exit 3"]))
    assert payload == b"partial\n"
    assert end.exit_code == 3


def test_a_program_that_does_not_read_its_input_ends_with_its_own_exit_code():
    _payload, end = read(pod(["sh", "-c", "exit 4"], framed(b"x" * 2_000_000)))
    assert end.exit_code == 4
    assert end.received is None or end.exit_code != 0


def test_a_program_that_is_not_there_says_127():
    assert read(pod(["/nowhere/program"]))[1].exit_code == 127


def test_arguments_reach_the_program_as_they_are():
    hostile = ["a b", "$(id)", "'\"", "--", "*", "new\nline", ""]
    payload, _end = read(pod([sys.executable, "-c", "import sys; print(sys.argv[1:])", *hostile]))
    assert payload.decode().strip() == repr(hostile)


def test_a_container_without_a_tool_names_it(tmp_path):
    for tool in ("sh", "wc", "tee", "dd"):
        os.symlink(f"/usr/bin/{tool}", tmp_path / tool)
    done = subprocess.run(command(["true"], False), env={"PATH": str(tmp_path)}, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (127, b"")
    assert b"no sha256sum" in done.stderr


def test_what_greets_differently_is_not_listened_to():
    with pytest.raises(StreamBroken, match="something else than our stream"):
        FrameReader().feed(b"Welcome to this container\n" + GREETING)


def test_memory_does_not_grow_with_the_stream():
    reader, held = FrameReader(), 0
    reader.feed(GREETING)
    for _number in range(100):
        reader.feed(b"x" * 100_000)
        held = max(held, len(reader._held))
    assert held == TRAILER
