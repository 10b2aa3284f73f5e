"""A bundle as one zip archive, as it is sent to a detector; nothing in it is believed."""

import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Final

from firedetect.contract.jobs import BUNDLE_ARCHIVE_MAX_BYTES
from firedetect.errors import BundleError
from firedetect.model.bundle import (
    MANIFEST_FILE,
    MAX_FILE_BYTES,
    MODEL_FILE,
    SIGNATURE_FILE,
    load_bundle,
    read_file,
    write_file,
)

REQUIRED: Final = (MODEL_FILE, MANIFEST_FILE)
KNOWN: Final = (*REQUIRED, SIGNATURE_FILE)

DIRECTORY_MAX_BYTES: Final = 4096
"""Three entries have some 200; zipfile reads the whole directory before anything can be asked."""

_END: Final = struct.Struct("<4s4H2LH")
_END_MARK: Final = b"PK\5\6"
_ZIP64_LOCATOR_BYTES: Final = 20
_ZIP64_MARK: Final = b"PK\6\7"
_ENCRYPTED: Final = 1
_PACKINGS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest date of the format, so that equal bundles give equal archives."""


def pack(bundle: Path, target: Path) -> None:
    """Write a bundle, with its signature if it has one, as an archive: equal bytes every time.

    Raises BundleError for a bundle that does not pass its checks.
    """
    extra = sorted(set(load_bundle(bundle).manifest.files) - set(KNOWN))
    if extra:
        raise BundleError(f"{bundle}: has files that no archive carries: {', '.join(extra)}")
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in KNOWN:
            if name in REQUIRED or (bundle / name).exists():
                entry = zipfile.ZipInfo(name, _DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, read_file(bundle / name))
    write_file(target, content.getvalue())


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of an archive into an empty folder; raises BundleError naming the reason.

    Every entry is judged by the archive's directory, and the directory by its size, before
    anything is decompressed; no entry can cost more than it says.
    """
    try:
        with archive.open("rb") as file:
            _check_end(archive, file)
            with zipfile.ZipFile(file) as opened:
                entries = opened.infolist()
                _check_entries(archive, entries)
                for entry in entries:
                    write_file(folder / entry.filename, _content(opened, entry))
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
        raise BundleError(f"{archive}: is damaged: {error}") from error
    except (ValueError, EOFError, struct.error) as error:
        raise BundleError(f"{archive}: is no archive of a bundle: {error}") from error
    except OSError as error:
        raise BundleError(f"{archive}: cannot be read: {error.strerror or error}") from error


def _check_end(archive: Path, file: IO[bytes]) -> None:
    size = file.seek(0, 2)
    if size > BUNDLE_ARCHIVE_MAX_BYTES:
        raise BundleError(f"{archive}: has {size} bytes, at most {BUNDLE_ARCHIVE_MAX_BYTES}")
    file.seek(max(size - _END.size - _ZIP64_LOCATOR_BYTES, 0))
    tail = file.read()
    end = tail[-_END.size :]
    # A comment would move the mark: nothing that we pack has one.
    if len(end) < _END.size or not end.startswith(_END_MARK) or end[-2:] != b"\0\0":
        raise BundleError(f"{archive}: is no zip archive, or is cut off")
    _, _, _, _, count, directory_bytes, _, _ = _END.unpack(end)
    zip64 = tail[: -_END.size].startswith(_ZIP64_MARK)
    if zip64 or not 0 < count <= len(KNOWN) or directory_bytes > DIRECTORY_MAX_BYTES:
        raise BundleError(f"{archive}: has more than the {len(KNOWN)} files of a bundle")


def _check_entries(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.filename for entry in entries]
    for entry in entries:
        refused = _refused(entry, names)
        if refused:
            raise BundleError(f"{archive}: {entry.filename[:80]!r}: {refused}")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise BundleError(f"{archive}: holds no {' and no '.join(missing)}")


def _refused(entry: zipfile.ZipInfo, names: list[str]) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    reasons = {
        f"is none of {', '.join(KNOWN)}": entry.filename not in KNOWN,
        "is there twice": names.count(entry.filename) > 1,
        "is no regular file": kind not in {0, stat.S_IFREG},
        "is encrypted": bool(entry.flag_bits & _ENCRYPTED),
        "is packed in an unknown way": entry.compress_type not in _PACKINGS,
        f"has {entry.file_size} bytes, at most {MAX_FILE_BYTES}": entry.file_size > MAX_FILE_BYTES,
    }
    return next((reason for reason, wrong in reasons.items() if wrong), "")


def _content(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    with opened.open(entry) as file:
        # Not more than the directory promised, whatever the compressed stream holds.
        content = file.read(entry.file_size)
        if len(content) != entry.file_size or file.read(1):
            raise BundleError(f"{opened.filename}: {entry.filename}: has not the size it states")
    return content
