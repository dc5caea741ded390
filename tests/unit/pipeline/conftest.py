# Copyright: (c) 2026, the sre.runbooks authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store in memory (with the right to damage what it holds), age keys, and both implementations of each stage."""

from __future__ import annotations

import contextlib
import io
import shutil

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils._errors import ObjectExists, ObjectMissing
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline import age, compression
from ansible_collections.sre.runbooks.plugins.module_utils._pipeline.stream import Identities
from ansible_collections.sre.runbooks.plugins.module_utils._repository.store import ObjectVersion


class _Buffer(io.BytesIO):
    version_id = None


class MemoryStore:
    """As much of a store as the pipeline uses."""

    url = "memory://"

    def __init__(self):
        self.objects = {}

    @contextlib.contextmanager
    def writer(self, key):
        if key in self.objects:
            raise ObjectExists(key)
        buffer = _Buffer()
        yield buffer
        self.objects[key] = buffer.getvalue()

    def versions(self, prefix):
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield ObjectVersion(key, None, len(self.objects[key]), None)

    def open(self, key, offset=0, length=None, version=None):
        if key not in self.objects:
            raise ObjectMissing(key)
        return io.BytesIO(self.objects[key][offset : None if length is None else offset + length])


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture(scope="session")
def keys():
    """(recipient, identity) pairs."""
    import pyrage

    made = [pyrage.x25519.Identity.generate() for _ in range(2)]
    return [(str(identity.to_public()), str(identity)) for identity in made]


@pytest.fixture
def identities(keys):
    return Identities(identity=keys[0][1])


@pytest.fixture(params=["age program", "pyrage library"])
def age_implementation(request, monkeypatch):
    if request.param == "pyrage library":
        monkeypatch.setattr(age, "age_program", lambda: None)
    elif shutil.which("age") is None:
        pytest.skip("THE age PROGRAM IS NOT INSTALLED (as root: apt-get install age): its path stays UNTESTED")
    return request.param


@pytest.fixture(params=["zstandard library", "zstd program"])
def zstd_implementation(request, monkeypatch):
    if request.param == "zstd program":
        if shutil.which("zstd") is None:
            pytest.skip("THE zstd PROGRAM IS NOT INSTALLED (as root: apt-get install zstd): its path stays UNTESTED")
        monkeypatch.setattr(compression, "zstd_library", lambda: None)
    return request.param
