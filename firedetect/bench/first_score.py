"""What a fresh process needs to its first score: `python -m firedetect.bench.first_score ours`."""

import sys
from collections.abc import Callable
from pathlib import Path

_STATUS = Path("/proc/self/status")


def main() -> None:
    """Score one image with the stack that is named, and print the memory taken at most (KiB)."""
    score = _stack(sys.argv[1])(0)
    sys.stdout.write(f"{score:.3f} {_peak_kib()}\n")


def _stack(which: str) -> Callable[[int], float]:
    """Import the named stack and nothing of the other: its imports are what is measured."""
    if which == "ours":
        from firedetect.bench.our_stack import OurStack  # noqa: PLC0415

        return OurStack(images=1).image
    from firedetect.bench.user_stack import UserStack  # noqa: PLC0415

    return UserStack(images=1).image


def _peak_kib() -> int:
    # What getrusage says would begin with the memory of the process that started this one.
    fields = dict(line.split(":", 1) for line in _STATUS.read_text(encoding="ascii").splitlines())
    return int(fields["VmHWM"].split()[0])


if __name__ == "__main__":
    main()
