"""Importing a part loads no heavy library that it does not need: a promise to Lambda and the Pi."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "numba", "xgboost", "awscrt", "aiohttp", "pandas", "pyarrow")


def loaded(module):
    """Return the top-level modules that a fresh interpreter has after importing `module`."""
    code = f"import {module}, sys; print(*sorted({{n.split('.')[0] for n in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("firedetect", (*HEAVY, "pydantic")),
        ("firedetect.errors", (*HEAVY, "pydantic")),
        ("firedetect.contract.messages", HEAVY),
        ("firedetect.contract.level", (*HEAVY, "pydantic")),
        ("firedetect.config", HEAVY),
        ("firedetect.cli", ("numba", "xgboost", "aiohttp", "awscrt", "pandas", "numpy")),
        (
            "firedetect.daemon.app",
            ("xgboost", "pandas", "pyarrow", "sklearn", "matplotlib"),
        ),
        ("firedetect.pipeline", ("xgboost", "aiohttp", "mcap", "smbus2", "pandas")),
    ],
)
def test_a_part_loads_only_what_it_needs(module, without):
    modules = loaded(module)
    assert "firedetect" in modules
    assert modules.isdisjoint(without), modules & set(without)


def test_the_daemon_itself_needs_no_scipy():
    # Where scipy is installed numba loads it for its own use.
    assert "scipy" not in loaded("firedetect.daemon.app") - loaded("numba")


def test_the_check_sees_what_is_loaded():
    assert {"numpy", "numba"} <= loaded("firedetect.features.kernels")
