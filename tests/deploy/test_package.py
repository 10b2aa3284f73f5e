"""The functions' package: what is in it, and that it is the same each time."""

import re
import struct
import zipfile

import pytest

from deploy.committed import handlers
from deploy.import_times import HEAVY, ImportRefusedError, import_times
from deploy.package import MOST_BYTES, ROOT, PackageError, build, digest, locked, main, needed

LOCK = (ROOT / "requirements.lock").read_text()
AARCH64 = 183
# Native on the functions' processor only; its pure part is run with the one that is installed here.
NATIVE = "pydantic_core"


def test_what_is_needed_comes_from_metadata():
    assert needed() == [
        "annotated-types",
        "aws-lambda-powertools",
        "jmespath",
        "pydantic",
        "pydantic-core",
        "typing-extensions",
        "typing-inspection",
    ]


def test_every_locked_line_has_hashes():
    lines = locked(needed(), LOCK)
    assert len(re.findall(r"^[a-z][a-z-]+==", lines, re.MULTILINE)) == len(needed())
    assert all("--hash=sha256:" in locked([name], LOCK) for name in needed())


def test_what_is_not_locked_is_named():
    with pytest.raises(PackageError, match="surprise"):
        locked(["surprise"], LOCK)


def test_the_committed_template_names_the_handlers():
    found = handlers()
    assert found["firedetect-escalate"] == "firedetect.lambdas.escalate"
    for module in found.values():
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


def test_a_heavy_import_is_refused():
    with pytest.raises(ImportRefusedError, match=r"storage|config|clock"):
        import_times("firedetect.storage.folder", times=1)
    with pytest.raises(ImportRefusedError, match="numpy"):
        import_times("firedetect.features.kernels", times=1)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    path = tmp_path_factory.mktemp("package") / "functions.zip"
    build(path)
    return path


@pytest.mark.slow
def test_the_same_content_is_the_same_file(package, tmp_path, say):
    again = tmp_path / "again.zip"
    assert build(again) == digest(package)
    say(f"functions' package: {package.stat().st_size / 1e6:.2f} MB zipped")


@pytest.mark.slow
def test_it_is_small_and_holds_nothing_heavy(package):
    assert package.stat().st_size < MOST_BYTES
    with zipfile.ZipFile(package) as zipped:
        names = zipped.namelist()
        assert names == sorted(names)
        assert {entry.date_time for entry in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    tops = {name.split("/")[0] for name in names}
    assert not tops & {*HEAVY, "boto3", "botocore", "bin", "tests"}
    ours = {name.split("/")[1] for name in names if name.startswith("firedetect/")}
    assert ours == {"__init__.py", "contract", "errors.py", "lambdas"}
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc")]


@pytest.mark.slow
def test_what_is_native_is_for_the_functions_processor(package):
    with zipfile.ZipFile(package) as zipped:
        native = [name for name in zipped.namelist() if name.endswith(".so")]
        assert native == [f"{NATIVE}/_{NATIVE}.cpython-312-aarch64-linux-gnu.so"]
        head = zipped.read(native[0])[:20]
    assert head[:4] == b"\x7fELF"
    assert struct.unpack_from("<H", head, 18) == (AARCH64,)


@pytest.mark.slow
def test_every_handler_is_imported_from_the_package(package, tmp_path, say):
    with zipfile.ZipFile(package) as zipped:
        zipped.extractall(tmp_path)
    # Here: that of this computer. It is never run as it is in the package.
    (tmp_path / NATIVE).rename(tmp_path / f"{NATIVE}-aarch64")
    for function, module in handlers().items():
        found = import_times(module, times=1, folder=tmp_path)
        assert set(found.ours) <= {"contract", "errors", "lambdas"}
        say(f"{function}: imported in {found.median_s * 1000:.0f} ms")
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import aws_lambda_powertools, firedetect.lambdas.rows, jmespath, pydantic, sys\n"
        "for one in (aws_lambda_powertools, firedetect, jmespath, pydantic):\n"
        f"    assert one.__file__.startswith({str(tmp_path)!r}), one\n"
    )
    assert import_times("probe", times=1, folder=tmp_path).median_s > 0


@pytest.mark.slow
def test_the_command_says_size_and_digest(package, tmp_path, capsys):
    assert main(["-o", str(tmp_path / "made.zip"), "--no-times"]) == 0
    said = capsys.readouterr().out
    assert digest(package) in said
    assert "MB zipped" in said
