"""Writes the golden texts anew, on purpose: python -m tests.doctor.rewrite [NAME...]."""

import sys
import tempfile
from pathlib import Path

from tests.doctor.machine import Pi
from tests.doctor.plants import PLANTS

GOLDEN = Path(__file__).parent / "golden"


def text_of(name: str, folder: Path) -> str:
    """Return what the doctor says of the planted machine."""
    pi = Pi(folder)
    PLANTS[name](pi)
    return pi.text()


def main(names: list[str]) -> None:
    GOLDEN.mkdir(exist_ok=True)
    for name in names or PLANTS:
        with tempfile.TemporaryDirectory() as folder:
            (GOLDEN / f"{name}.txt").write_text(text_of(name, Path(folder)))
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])
