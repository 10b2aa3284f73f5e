"""Topics and payloads as MQTT and JSON define them."""

import pytest

from firedetect.cloudbox.wire import NotJsonError, decoded, encoded, topic_matches


@pytest.mark.parametrize(
    ("topic_filter", "topic", "wanted"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("+/b", "a/b", True),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("#", "$aws/things", False),
        ("+/things", "$aws/things", False),
        ("$aws/#", "$aws/things/t", True),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/b/c", False),
        ("a//c", "a//c", True),
    ],
)
def test_filters(topic_filter, topic, wanted):
    assert topic_matches(topic_filter, topic) is wanted


def test_an_empty_payload_is_an_empty_object():
    assert decoded(b"") == decoded(b" \n") == {}


@pytest.mark.parametrize("payload", [b"{", b"[]", b"1", b"null", b'{"a": Infinity}', b"[" * 99_999])
def test_what_is_no_object_is_refused(payload):
    with pytest.raises(NotJsonError):
        decoded(payload)


def test_what_goes_out_is_compact_and_has_no_nan():
    assert encoded({"a": [1, "ä"]}) == '{"a":[1,"ä"]}'.encode()
    with pytest.raises(ValueError, match="JSON compliant"):
        encoded({"a": float("nan")})
