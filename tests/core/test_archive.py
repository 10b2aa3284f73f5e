"""Bundles as archives: what was packed comes out, and nothing else ever gets in."""

import io
import os
import stat
import struct
import zipfile

import pytest

from firedetect.contract.jobs import BUNDLE_ARCHIVE_MAX_BYTES
from firedetect.errors import BundleError
from firedetect.model.archive import pack, unpack
from firedetect.model.bundle import MAX_FILE_BYTES, load_bundle
from tests.core.bundles import make_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    made = make_bundle(tmp_path_factory.mktemp("made") / "bundle")
    (made.path / "signature").write_bytes(b"s" * 64)
    return made


@pytest.fixture
def target(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def write(path, entries, method=zipfile.ZIP_DEFLATED):
    """Write entries as (name, content, external attributes or None)."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content, attributes in entries:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = method
            if attributes is not None:
                entry.external_attr = attributes
            archive.writestr(entry, content)
    return path


def files(bundle):
    return [(path.name, path.read_bytes(), None) for path in sorted(bundle.path.iterdir())]


def refuse(path, target, *evidence):
    with pytest.raises(BundleError) as caught:
        unpack(path, target)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    for part in (str(path), *evidence):
        assert part in message


def test_what_was_packed_comes_out(bundle, tmp_path, target):
    for name in ("a.zip", "b.zip"):
        pack(bundle.path, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    unpack(tmp_path / "a.zip", target)
    assert load_bundle(target).hash == bundle.hash
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        path.name: path.read_bytes() for path in bundle.path.iterdir()
    }


def test_an_unsigned_bundle_may_be_packed(tmp_path, target):
    made = make_bundle(tmp_path / "plain")
    pack(made.path, tmp_path / "a.zip")
    unpack(tmp_path / "a.zip", target)
    assert sorted(path.name for path in target.iterdir()) == ["manifest.json", "model.ubj"]


def test_a_bad_bundle_or_place_is_not_packed(bundle, tmp_path):
    with pytest.raises(BundleError, match=r"manifest\.json"):
        pack(tmp_path, tmp_path / "a.zip")
    with pytest.raises(BundleError, match="cannot be written"):
        pack(bundle.path, tmp_path / "none" / "a.zip")
    assert list(tmp_path.iterdir()) == []


def test_an_archive_by_another_program_is_read(bundle, tmp_path, target):
    stored = write(tmp_path / "a.zip", files(bundle), zipfile.ZIP_STORED)
    unpack(stored, target)
    assert load_bundle(target).hash == bundle.hash


@pytest.mark.parametrize(
    "name",
    ["../model.ubj", "/etc/passwd", "..", "model.ubj/", "sub/model.ubj", "x.txt", "", "MODEL.UBJ"],
)
def test_any_other_name_is_refused(tmp_path, target, name):
    write(tmp_path / "a.zip", [(name, b"x", None)])
    refuse(tmp_path / "a.zip", target, "is none of")
    assert list(target.iterdir()) == []
    assert not (tmp_path / "model.ubj").exists()


def test_a_name_that_is_there_twice_is_refused(bundle, tmp_path, target):
    with pytest.warns(UserWarning, match="Duplicate name"):
        write(tmp_path / "a.zip", [*files(bundle)[:2], files(bundle)[0]])
    refuse(tmp_path / "a.zip", target, "is there twice")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFCHR])
def test_what_is_no_regular_file_is_refused(bundle, tmp_path, target, kind):
    (_, manifest, _), model, *_ = files(bundle)
    write(tmp_path / "a.zip", [("manifest.json", manifest, (kind | 0o777) << 16), model])
    refuse(tmp_path / "a.zip", target, "is no regular file")


@pytest.mark.parametrize("missing", ["model.ubj", "manifest.json"])
def test_a_missing_file_is_refused(bundle, tmp_path, target, missing):
    write(tmp_path / "a.zip", [entry for entry in files(bundle) if entry[0] != missing])
    refuse(tmp_path / "a.zip", target, f"holds no {missing}")


def test_a_bomb_is_refused_before_it_is_unpacked(bundle, tmp_path, target):
    bomb = ("model.ubj", b"\0" * (MAX_FILE_BYTES + 1), None)
    write(tmp_path / "a.zip", [files(bundle)[0], bomb])
    assert (tmp_path / "a.zip").stat().st_size < 100_000
    refuse(tmp_path / "a.zip", target, "model.ubj", f"at most {MAX_FILE_BYTES}")
    assert list(target.iterdir()) == []


def test_a_bomb_that_lies_about_its_size_costs_no_more_than_it_says(bundle, tmp_path, target):
    size = MAX_FILE_BYTES + 12_345
    write(tmp_path / "a.zip", [("model.ubj", b"\0" * size, None), files(bundle)[0]])
    content = (tmp_path / "a.zip").read_bytes()
    lie = content.replace(struct.pack("<L", size), struct.pack("<L", 1000))
    assert lie != content
    (tmp_path / "a.zip").write_bytes(lie)
    refuse(tmp_path / "a.zip", target)
    assert list(target.iterdir()) == []


def test_a_directory_of_many_entries_is_refused_unread(tmp_path, target):
    write(tmp_path / "a.zip", [(f"{n}", b"", None) for n in range(2000)])
    refuse(tmp_path / "a.zip", target, "more than the 3 files")


def test_a_directory_that_hides_its_size_is_refused(bundle, tmp_path, target):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data, _ in files(bundle):
            archive.writestr(name, data)
    whole = content.getvalue()
    end = whole[-22:]
    large = end[:12] + struct.pack("<L", 5000) + end[16:]
    (tmp_path / "a.zip").write_bytes(whole[:-22] + large)
    refuse(tmp_path / "a.zip", target, "more than the 3 files")
    locator = b"PK\6\7" + bytes(16)
    (tmp_path / "a.zip").write_bytes(whole[:-22] + locator + end)
    refuse(tmp_path / "a.zip", target, "more than the 3 files")


def test_an_encrypted_entry_is_refused(bundle, tmp_path, target):
    write(tmp_path / "a.zip", files(bundle))
    content = bytearray((tmp_path / "a.zip").read_bytes())
    content[content.rindex(b"PK\1\2") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(bytes(content))
    refuse(tmp_path / "a.zip", target, "encrypted")


def test_another_packing_is_refused(bundle, tmp_path, target):
    write(tmp_path / "a.zip", files(bundle), zipfile.ZIP_LZMA)
    refuse(tmp_path / "a.zip", target, "packed in an unknown way")


def test_a_huge_archive_is_refused_unread(tmp_path, target):
    (tmp_path / "a.zip").touch()
    os.truncate(tmp_path / "a.zip", BUNDLE_ARCHIVE_MAX_BYTES + 1)
    refuse(tmp_path / "a.zip", target, "at most")


@pytest.mark.parametrize("content", [b"", b"PK", b"x" * 500])
def test_what_is_no_archive_is_refused(tmp_path, target, content):
    (tmp_path / "a.zip").write_bytes(content)
    refuse(tmp_path / "a.zip", target, "no zip archive")


def test_a_missing_archive_is_refused(tmp_path, target):
    refuse(tmp_path / "a.zip", target, "No such file")


@pytest.mark.fault("F60")
@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("cut", [True, False], ids=["cut", "flipped"])
def test_a_damaged_archive_is_refused_or_gives_the_same(bundle, tmp_path, target, share, cut):
    pack(bundle.path, tmp_path / "a.zip")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    at = int(len(content) * share)
    if cut:
        del content[at:]
    else:
        content[at] ^= 4
    (tmp_path / "a.zip").write_bytes(bytes(content))
    try:
        unpack(tmp_path / "a.zip", target)
    except BundleError:
        return
    assert not cut
    assert load_bundle(target).hash == bundle.hash
