"""Keeps what libraries in C print about themselves out of the answer."""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def without_output() -> Iterator[None]:
    """Send whatever is written to both outputs, also by C code, nowhere."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
