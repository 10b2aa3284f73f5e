"""The local authority: files, rights, validity, signing requests."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from firedetect.cloudbox.authority import Authority, Validity, signing_request
from firedetect.errors import BoxError


def read(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_the_authority_is_made_once_and_loaded_after(tmp_path):
    first, second = Authority(tmp_path), Authority(tmp_path)
    assert read(first.ca) == read(second.ca)
    issued = read(second.issue("thing-1").certificate)
    issued.verify_directly_issued_by(read(first.ca))


def test_keys_are_for_nobody_else(tmp_path):
    authority = Authority(tmp_path)
    for key in (authority.issue("a").key, authority.server_certificate().key, tmp_path / "ca.key"):
        assert key.stat().st_mode & 0o777 == 0o600


def test_kept_certificates_stay_and_issued_ones_are_new(tmp_path):
    authority = Authority(tmp_path)
    first = read(authority.kept("a").certificate)
    assert read(authority.kept("a").certificate) == first
    assert read(authority.issue("a").certificate) != first
    assert authority.issued() == ["a"]


def test_a_validity_may_be_chosen(tmp_path):
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    validity = Validity(start, start + dt.timedelta(days=1))
    expired = Authority(tmp_path).issue("old", validity=validity, folder=tmp_path / "elsewhere")
    assert read(expired.certificate).not_valid_after_utc == validity.end
    assert expired.certificate.parent == tmp_path / "elsewhere"


def test_a_signing_request_is_signed_under_our_name_for_it(tmp_path):
    authority = Authority(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = x509.load_pem_x509_certificate(
        authority.sign(signing_request(key), "abc").encode()
    )
    assert certificate.subject.rfc4514_string() == "CN=abc"
    assert certificate.public_key() == key.public_key()


def test_bad_requests_and_names_are_refused(tmp_path):
    authority = Authority(tmp_path)
    with pytest.raises(BoxError, match="cannot be read"):
        authority.sign("nonsense", "abc")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    other = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(other, SHA256())
    with pytest.raises(BoxError, match="P-256"):
        authority.sign(request.public_bytes(Encoding.PEM).decode(), "abc")
    with pytest.raises(BoxError, match="a name has"):
        authority.issue("a/b")


def test_a_folder_that_holds_no_authority_is_said(tmp_path):
    (tmp_path / "ca.crt").write_text("nonsense")
    with pytest.raises(BoxError, match="no usable authority"):
        Authority(tmp_path)
