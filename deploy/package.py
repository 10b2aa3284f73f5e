"""Builds the functions' package: `python -m deploy.package [-o FILE] [--no-times]`.

It holds the contract, the errors, the handlers and the locked dependencies that they need, for the
functions' processor and interpreter. The same content is the same file, bit for bit.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from deploy.committed import handlers
from deploy.import_times import import_times
from firedetect.errors import FiredetectError

ROOT: Final = Path(__file__).parents[1]
PACKAGE: Final = ROOT / "var" / "package" / "functions.zip"
OURS: Final = ("__init__.py", "errors.py", "contract", "lambdas")
MOST_BYTES: Final = 50 * 1024**2
"""A package that is uploaded directly may have so much; ours stays far below."""
PLATFORM: Final = "aarch64-manylinux2014"
PYTHON: Final = "3.12"
_INSTALL_LIMIT_S: Final = 300.0
# A zip file knows no earlier time.
_DATE: Final = (1980, 1, 1, 0, 0, 0)
_LEFT_OUT: Final = re.compile(
    r"__pycache__|\.pyc$|(^|/)(bin|tests?)/|\.lock$|/(RECORD|direct_url\.json)$"
)
_ENVIRONMENT: Final = {
    "platform_machine": "aarch64",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "os_name": "posix",
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.0",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "extra": "",
}


class PackageError(FiredetectError):
    """The package cannot be built; the message says what is missing."""


def needed() -> list[str]:
    """Return the names of the locked distributions that the functions need, by their metadata."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [*project["dependencies"], *project["optional-dependencies"]["lambda"]]
    found: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        if requirement.marker and not requirement.marker.evaluate(_ENVIRONMENT):
            continue
        name = canonicalize_name(requirement.name)
        if name not in found:
            found.add(name)
            waiting.extend(requires(name) or ())
    return sorted(found)


def locked(names: Sequence[str], lock: str) -> str:
    """Return the lines of a lock for these names, hashes included; raises PackageError."""
    entries = {
        str(canonicalize_name(entry.partition("==")[0].strip())): entry
        for entry in re.split(r"\n(?=[A-Za-z0-9])", lock)
        if "==" in entry.partition("\n")[0]
    }
    missing = [name for name in names if name not in entries]
    if missing:
        raise PackageError(f"not in requirements.lock: {', '.join(missing)}; make lock")
    return "\n".join(entries[name].rstrip() for name in names) + "\n"


def build(to: Path) -> str:
    """Write the package and return its sha256; raises PackageError."""
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        _install(locked(needed(), (ROOT / "requirements.lock").read_text()), Path(folder), site)
        files = {path.relative_to(site).as_posix(): path for path in site.rglob("*")}
        files |= {path.relative_to(ROOT).as_posix(): path for path in _ours()}
        to.parent.mkdir(parents=True, exist_ok=True)
        new = to.with_suffix(".new")
        with zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as package:
            for name in sorted(files):
                if files[name].is_file() and not _LEFT_OUT.search(name):
                    _add(package, name, files[name].read_bytes())
        new.replace(to)
    if to.stat().st_size > MOST_BYTES:
        raise PackageError(f"{to}: {to.stat().st_size} bytes are more than {MOST_BYTES}")
    return digest(to)


def digest(path: Path) -> str:
    """Return the sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _ours() -> Iterator[Path]:
    for name in OURS:
        place = ROOT / "firedetect" / name
        yield from [place] if place.is_file() else place.rglob("*.py")


def _install(lock: str, folder: Path, site: Path) -> None:
    listed = folder / "requirements.txt"
    listed.write_text(lock)
    # The one beside the interpreter, as `make setup` puts it.
    uv = Path(sys.executable).with_name("uv")
    options = ["--target", str(site), "--python-platform", PLATFORM, "--python-version", PYTHON]
    options += ["--only-binary", ":all:", "--no-deps", "--require-hashes", "--no-compile-bytecode"]
    try:
        subprocess.run(  # noqa: S603 - our own tool, fixed options
            [uv, "pip", "install", "--quiet", *options, "--requirements", str(listed)],
            check=True,
            capture_output=True,
            text=True,
            timeout=_INSTALL_LIMIT_S,
        )
    except FileNotFoundError as error:
        raise PackageError(f"{uv} is missing: make setup") from error
    except subprocess.TimeoutExpired as error:
        raise PackageError(
            f"no packages within {_INSTALL_LIMIT_S:.0f} s: is there a way out?"
        ) from error
    except subprocess.CalledProcessError as error:
        said = str(error.stderr).strip().splitlines() or ["no reason given"]
        raise PackageError(f"dependencies cannot be fetched: {said[-1].strip()}") from error


def _add(package: zipfile.ZipFile, name: str, body: bytes) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED
    # Linux, readable by everybody: functions run as somebody else.
    entry.create_system = 3
    entry.external_attr = 0o100644 << 16
    package.writestr(entry, body)


def main(arguments: Sequence[str] | None = None) -> int:
    """Build, and say size and import times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=PACKAGE)
    parser.add_argument("--no-times", action="store_true", help="do not measure import times")
    chosen = parser.parse_args(arguments)
    try:
        sha256 = build(chosen.output)
        with zipfile.ZipFile(chosen.output) as package:
            unpacked = sum(entry.file_size for entry in package.infolist())
        size = chosen.output.stat().st_size
        print(f"{chosen.output}: {size / 1e6:.2f} MB zipped, {unpacked / 1e6:.2f} MB unpacked")
        print(f"sha256 {sha256}")
        print(f"holds: {', '.join(needed())}")
        if not chosen.no_times:
            print("import, median of 5 on this computer, boto3 included:")
            for function, module in handlers().items():
                found = import_times(module)
                print(
                    f"  {function}: {found.median_s * 1000:.0f} ms, ours: {', '.join(found.ours)}"
                )
    except FiredetectError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
