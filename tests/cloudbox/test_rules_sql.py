"""Rules SQL: what our subset selects, and where it says no."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.cloudbox.rules_sql import parse, parse_template
from firedetect.cloudbox.rules_values import Occasion
from firedetect.errors import RuleError

MESSAGE = {"a": 1, "b": {"c": "x", "d": [1, 2]}, "t": True, "n": None, "level": "alert", "z": 0}
OCCASION = Occasion("firedetect/thing-1/alert", MESSAGE, 1_767_225_600_123, "client", "principal")


def ask(sql):
    return parse(sql).result(OCCASION)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT *", MESSAGE),
        ("SELECT * FROM 'firedetect/+/alert'", MESSAGE),
        ("select a, b.c from 'x'", {"a": 1, "c": "x"}),
        ("SELECT b.c AS name", {"name": "x"}),
        ("SELECT missing, a", {"a": 1}),
        ("SELECT b.c.deeper, a", {"a": 1}),
        ("SELECT *, topic(2) AS thing", MESSAGE | {"thing": "thing-1"}),
        ("SELECT *, 'forged' AS level", MESSAGE | {"level": "forged"}),
        ("SELECT topic() AS t", {"t": "firedetect/thing-1/alert"}),
        ("SELECT topic(9) AS t, a", {"a": 1}),
        ("SELECT timestamp() AS ms", {"ms": 1_767_225_600_123}),
        ("SELECT clientid() AS c, principal() AS p", {"c": "client", "p": "principal"}),
        ("SELECT 1 + 2 * 3 AS n", {"n": 7}),
        ("SELECT (1 + 2) * 3 AS n", {"n": 9}),
        ("SELECT 7 % 4 - -1 AS n", {"n": 4}),
        ("SELECT a / 4 AS n", {"n": 0.25}),
        ("SELECT a / z AS n, a", {"a": 1}),
        ("SELECT t + 1 AS n, a", {"a": 1}),
        ("SELECT 'it''s' AS s", {"s": "it's"}),
        ("SELECT [1, 'x', missing] AS l", {"l": [1, "x"]}),
        ("SELECT n AS n", {"n": None}),
        ("SELECT a WHERE a = 1", {"a": 1}),
        ("SELECT a WHERE a = 1.0", {"a": 1}),
        ("SELECT a WHERE a <> 1", None),
        ("SELECT a WHERE t = 1", None),
        ("SELECT a WHERE level = 'alert' AND NOT (a > 1)", {"a": 1}),
        ("SELECT a WHERE a > 1 OR level IN ['alert', 'emergency']", {"a": 1}),
        ("SELECT a WHERE 2 IN b.d", {"a": 1}),
        ("SELECT a WHERE t IN [1]", None),
        ("SELECT a WHERE missing = 1", None),
        ("SELECT a WHERE NOT missing", None),
        ("SELECT a WHERE missing <> 1", None),
        ("SELECT a WHERE level < 'b'", {"a": 1}),
        ("SELECT a WHERE level < 5", None),
        ("SELECT a WHERE n = NULL", {"a": 1}),
        ("SELECT a WHERE t", {"a": 1}),
        ("SELECT a WHERE NOT NOT t", {"a": 1}),
        ("SELECT a WHERE a", None),
    ],
)
def test_what_is_selected(sql, wanted):
    assert ask(sql) == wanted


def test_types_are_kept():
    assert ask("SELECT a WHERE a = TRUE") is None
    assert type(ask("SELECT 1 + 1 AS n")["n"]) is int


def test_every_new_uuid_is_another():
    one, other = ask("SELECT newuuid() AS u"), ask("SELECT newuuid() AS u")
    assert one != other


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", r"position 1 \(the end\): SELECT is expected"),
        ("UPDATE x", r"position 1 \('UPDATE'\): SELECT is expected"),
        ("SELECT a FROM topic", r"position 15 \('topic'\): FROM needs a topic filter"),
        ("SELECT a WHERE a != 1", r"position 18 \('!'\): is no part of our SQL"),
        ("SELECT a b", r"position 10 \('b'\): is not understood"),
        ("SELECT a + 1", r"position 8 \('a'\): an expression needs AS"),
        ("SELECT topic(2)", "an expression needs AS"),
        ("SELECT topic(0) AS t", r"position 14 \('0'\): levels of a topic are counted from 1"),
        ("SELECT get_thing_shadow('x') AS s", r"position 8 .* there is no function"),
        ("SELECT count(*) AS n", "there is no function count here"),
        ("SELECT a AS 'x'", "AS needs a name"),
        ("SELECT a WHERE", r"\(the end\): a value is expected"),
        ("SELECT a WHERE (a = 1", r"\) is expected"),
        ("SELECT CASE a WHEN 1 THEN 2 END AS x", "is not understood"),
        ("SELECT a.* FROM 'x'", "a path goes on with a name"),
        ("SELECT VALUE a", "is not understood"),
        ("SELECT (SELECT a) AS x", "a value is expected"),
        ("SELECT a WHERE a LIKE 'x'", "is not understood"),
        ("SELECT a; DROP", "is no part of our SQL"),
        ("SELECT " + "(" * 50 + "1" + ")" * 50 + " AS x", "nested deeper than 20"),
        ("SELECT a FROM 'x' FROM 'y'", "is not understood"),
        ("SELECT 'open AS x", "is no part of our SQL"),
    ],
)
def test_everything_else_is_an_error_with_its_place(sql, words):
    with pytest.raises(RuleError, match=words):
        parse(sql)


@given(st.text(max_size=60))
def test_no_text_does_worse_than_a_stated_error(text):
    with contextlib.suppress(RuleError):
        parse(f"SELECT {text}").result(OCCASION)


NUMBERS = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))


@given(NUMBERS, NUMBERS, st.sampled_from("+-*/%"))
def test_arithmetic_never_raises_and_gives_numbers_that_json_has(left, right, sign):
    occasion = Occasion("t", {"l": left, "r": right}, 0)
    found = parse(f"SELECT l {sign} r AS n").result(occasion)
    assert found == {} or abs(found["n"]) < float("inf")


def test_templates_are_filled_from_the_message():
    filled = parse_template("telemetry/${topic(2)}/${a}-${b.c}.json")
    assert filled(OCCASION) == "telemetry/thing-1/1-x.json"
    assert parse_template("plain")(OCCASION) == "plain"


@pytest.mark.parametrize("text", ["${a", "x ${a + }", "${nonsense()}"])
def test_a_template_that_is_not_understood_is_refused(text):
    with pytest.raises(RuleError):
        parse_template(text)


@pytest.mark.parametrize("text", ["${missing}", "${b}", "${t}", "${n}"])
def test_a_template_without_a_value_is_an_error_of_that_message(text):
    with pytest.raises(RuleError, match="no value"):
        parse_template(text)(OCCASION)
