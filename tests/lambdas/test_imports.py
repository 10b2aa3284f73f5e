"""Functions stay light: what they import, and that a breach is caught."""

import subprocess
import sys
import tomllib

import pytest

from tests.core.test_layers import ROOT, contracts, copied, lint

__all__ = ["copied"]
HANDLERS = ("acknowledge", "escalate", "response_agent", "supervisor")
HEAVY = ("numpy", "numba", "xgboost", "awscrt", "awsiot", "aiohttp", "moto", "cryptography")
NAME = "Functions know the contract"


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_imports_nothing_heavy_and_only_contract_and_errors_of_ours(handler):
    # Missing, as on AWS: botocore would take awscrt if it were there.
    program = f"""
import sys
for name in {HEAVY}:
    sys.modules[name] = None
import firedetect.lambdas.{handler}
print(*sorted(name for name, module in sys.modules.items() if module is not None))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    loaded = done.stdout.split()
    ours = {name.split(".")[1] for name in loaded if name.startswith("firedetect.")}
    assert ours == {"contract", "errors", "lambdas"}


def test_the_contract_forbids_every_other_part():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (found,) = (one for one in config["contracts"] if one["name"].startswith(NAME))
    parts = {path.stem for path in (ROOT / "firedetect").glob("*.py")}
    parts |= {path.parent.name for path in (ROOT / "firedetect").glob("*/__init__.py")}
    allowed = {"__init__", "__main__", "contract", "errors", "lambdas"}
    assert {f"firedetect.{part}" for part in parts - allowed} <= set(found["forbidden_modules"])


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("lambdas/policy.py", "import numpy", NAME),
        ("lambdas/rows.py", "import firedetect.clock", NAME),
        ("contract/messages.py", "import awscrt", NAME),
        ("cloudbox/box.py", "import firedetect.lambdas.policy", "The box loads functions"),
    ],
)
def test_a_planted_breach_is_caught(copied, file, line, broken):
    path = copied / "firedetect" / file
    before = path.read_text()
    path.write_text(f"{before}\n{line}\n")
    try:
        code, said = lint(copied)
    finally:
        path.write_text(before)
    assert code == 1, said
    assert any(broken in one for one in contracts(said, "BROKEN")), said
