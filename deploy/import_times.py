"""How long a handler's import takes, and what of ours it brings along, each in its own process."""

import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firedetect.errors import FiredetectError

TIMES: Final = 5
HEAVY: Final = ("numpy", "numba", "xgboost", "awscrt", "awsiot", "aiohttp", "moto", "cryptography")
"""What is not on AWS; botocore would take awscrt if it were there."""
ALLOWED: Final = frozenset({"contract", "errors", "lambdas"})
_LIMIT_S: Final = 60.0
_PROGRAM: Final = """
import sys, time
for name in {heavy}:
    sys.modules[name] = None
start = time.perf_counter()
import {module}
took = time.perf_counter() - start
import json
names = sorted(name for name, module in sys.modules.items() if module is not None)
print(json.dumps([took, names]))
"""


class ImportRefusedError(FiredetectError):
    """A handler cannot be imported, or brings along what it must not."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The median of some imports, and which parts of ours were loaded."""

    median_s: float
    ours: tuple[str, ...]


def import_times(
    module: str,
    times: int = TIMES,
    folder: Path | None = None,
) -> Imported:
    """Import a module in fresh processes; raises ImportRefusedError naming what is wrong.

    With a folder, such as an unpacked package, what is in it goes before what is installed.
    """
    took, loaded = [], []
    program = _PROGRAM.format(heavy=HEAVY, module=module)
    for _ in range(times):
        done = subprocess.run(  # noqa: S603 - our own interpreter and program
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
            # An interpreter that is given a program looks where it stands first.
            cwd=folder,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no reason given"]
            raise ImportRefusedError(f"{module}: {said[-1]}")
        seconds, loaded = json.loads(done.stdout)
        took.append(float(seconds))
    ours = {name.split(".")[1] for name in loaded if name.startswith("firedetect.")}
    if not ours <= ALLOWED:
        raise ImportRefusedError(f"{module} imports {', '.join(sorted(ours - ALLOWED))} of ours")
    return Imported(statistics.median(took), tuple(sorted(ours)))
