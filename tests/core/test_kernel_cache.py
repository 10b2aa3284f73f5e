"""The cache of compiled kernels: what is damaged there is compiled again, and never run."""

import importlib.util
import os
import stat

import numba
import pytest

from firedetect.features import jit

SOURCE = """
from firedetect.features.jit import kernel

@kernel
def twice(value):
    return 2 * value
"""


@pytest.fixture
def twice(tmp_path, monkeypatch):
    """Load the kernel as a new process would, and call it; returns how often it was compiled."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(jit, "_kernels", [])
    path = tmp_path / "doubling.py"
    path.write_text(SOURCE)

    def load():
        spec = importlib.util.spec_from_file_location("doubling", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        jit._kernels[:-1] = []
        assert module.twice(21) == 42
        return jit.compiled_anew()

    load.files = lambda ending: list((tmp_path / "cache").rglob(f"*.{ending}"))
    return load


def test_what_was_compiled_is_found_again(twice):
    assert [twice(), twice(), twice()] == [1, 0, 0]


def flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize(
    ("ending", "spoil"),
    [
        ("nbi", lambda data: data[:40]),
        ("nbi", lambda data: data[:0]),
        ("nbi", lambda data: os.urandom(len(data))),
        ("nbc", lambda data: data[:0]),
        ("nbc", lambda data: b"\x00" * len(data)),
        ("nbc", lambda data: data[:-1]),
        ("nbc", lambda data: flipped(data, len(data) // 2)),
        ("nbc", lambda data: flipped(data, len(data) - 1)),
        ("nbc", lambda data: data[:-32]),
    ],
)
def test_what_is_damaged_is_compiled_again(twice, ending, spoil):
    assert twice() == 1
    (path,) = twice.files(ending)
    path.write_bytes(spoil(path.read_bytes()))
    assert [twice(), twice()] == [1, 0]


def test_any_flipped_bit_of_the_code_is_found(twice):
    assert twice() == 1
    (path,) = twice.files("nbc")
    good = path.read_bytes()
    for place in range(0, len(good), max(1, len(good) // 10)):
        path.write_bytes(flipped(good, place))
        assert twice() == 1, place


def test_code_of_another_signature_is_not_run(twice, tmp_path):
    path = tmp_path / "doubling.py"
    twice()
    # As two processes leave it that compile different signatures at once: whole files, swapped.
    spec = importlib.util.spec_from_file_location("doubling", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.twice(1.5) == 3.0
    one, two = sorted(twice.files("nbc"))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    assert twice() == 1


def test_a_cache_that_cannot_be_written_ends_no_call(twice):
    assert twice() == 1
    (path,) = twice.files("nbc")
    path.write_bytes(b"")
    (index,) = twice.files("nbi")
    # Nobody, not even root, replaces a folder by a file.
    index.unlink()
    index.mkdir(mode=stat.S_IRWXU)
    assert [twice(), twice()] == [1, 1]
