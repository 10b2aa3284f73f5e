"""The data folder: made if missing, used by one daemon at a time."""

import contextlib
import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from firedetect.errors import FolderInUseError, StorageError


class DataFolder:
    """Holds the lock on the folder until closed.

    Raises FolderInUseError if another daemon has it, StorageError if it cannot be used at all.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o750)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise StorageError(
                f"{path}: cannot be used as data folder: {error.strerror}"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = self._holder()
            os.close(self._lock)
            raise FolderInUseError(
                f"{path}: is used by another firedetect (process {holder}); "
                "stop it or set device.data_dir"
            ) from error
        except OSError as error:
            os.close(self._lock)
            raise StorageError(f"{path}: cannot be locked: {error.strerror}") from error
        # The number only helps people: a full disk must not end the start over it.
        with contextlib.suppress(OSError):
            os.ftruncate(self._lock, 0)
            os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.path / "firedetect.db"

    @property
    def control_socket(self) -> Path:
        """The socket that commands use."""
        return self.path / "control.sock"

    def close(self) -> None:
        """Give the folder free."""
        os.close(self._lock)

    def _holder(self) -> str:
        try:
            text = os.pread(self._lock, 32, 0).decode(errors="replace").strip()
        except OSError:
            text = ""
        return text or "unknown"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
