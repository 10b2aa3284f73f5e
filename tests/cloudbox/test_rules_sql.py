"""Rules SQL: what our subset selects, and where it says no."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firedetect.cloudbox.rules_sql import parse, parse_template
from firedetect.cloudbox.rules_values import Occasion
from firedetect.errors import RuleError

MESSAGE = {"a": 1, "b": {"c": "x", "d": [1, 2]}, "t": True, "n": None, "level": "alert", "f": 0.5}
OCCASION = Occasion("firedetect/thing-1/alert", MESSAGE, 1_767_225_600_123)


def ask(sql):
    return parse(sql).result(OCCASION)


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("SELECT *", MESSAGE),
        ("SELECT * FROM 'firedetect/+/alert'", MESSAGE),
        ("select a as x, b.c as y from 'x'", {"x": 1, "y": "x"}),
        ("SELECT b.d AS list, b AS object", {"list": [1, 2], "object": MESSAGE["b"]}),
        ("SELECT missing AS m, a AS a", {"a": 1}),
        ("SELECT b.c.deeper AS m, a AS a", {"a": 1}),
        ("SELECT *, 15 AS speed", MESSAGE | {"speed": 15}),
        ("SELECT *, topic(2) AS thing", MESSAGE | {"thing": "thing-1"}),
        ("SELECT *, 'forged' AS level", MESSAGE | {"level": "forged"}),
        ("SELECT topic(9) AS t, a AS a", {"a": 1}),
        ("SELECT timestamp() AS ms", {"ms": 1_767_225_600_123}),
        ("SELECT n AS n, t AS t", {"n": None, "t": True}),
    ],
)
def test_what_is_selected(sql, wanted):
    assert ask(sql) == wanted


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", r"position 1 \(the end\): SELECT is expected"),
        ("UPDATE x", r"position 1 \('UPDATE'\): SELECT is expected"),
        ("SELECT a AS a FROM topic", r"position 20 \('topic'\): FROM needs a topic filter"),
        ("SELECT a", "AS and a name are expected"),
        ("SELECT a b", r"position 10 \('b'\): AS and a name are expected"),
        ("SELECT topic(2)", "AS and a name are expected"),
        ("SELECT a AS 'x'", "AS needs a name"),
        ("SELECT a AS value", "AS needs a name"),
        ("SELECT a.* AS a", "a path goes on with a name"),
        ("SELECT VALUE a AS a", "a value is expected"),
        ("SELECT a AS a FROM 'x' FROM 'y'", "is not understood"),
        ("SELECT 'open AS x", "is no part of our SQL"),
        ("SELECT 'it''s' AS x", "is no part of our SQL"),
        (r"SELECT '\\n' AS x", "is no part of our SQL"),
        ("SELECT 1.5 AS x", "is no part of our SQL"),
        ("SELECT 5m AS x", "is no part of our SQL"),
        ("SELECT -1 AS x", "is no part of our SQL"),
        ("SELECT topic(0) AS t", r"position 14 \('0'\): a level of the topic is expected"),
        ("SELECT topic() AS t", "a level of the topic is expected"),
        ("SELECT topic(a) AS t", "a level of the topic is expected"),
        ("SELECT timestamp(1) AS t", r"\) is expected"),
        ("SELECT TOPIC(2) AS t", "there is no function TOPIC here"),
        ("SELECT clientid() AS c", "there is no function clientid here"),
        ("SELECT principal() AS c", "there is no function principal here"),
        ("SELECT newuuid() AS c", "there is no function newuuid here"),
        ("SELECT get_thing_shadow('x') AS s", r"position 8 .* there is no function"),
        ("SELECT * WHERE a = 1", "is no part of our SQL"),
        ("SELECT * FROM 'x' WHERE a", "is not understood"),
        ("SELECT a + 1 AS x", "is no part of our SQL"),
        ("SELECT a * 2 AS x", "AS and a name are expected"),
        ("SELECT a = 1 AS x", "is no part of our SQL"),
        ("SELECT NOT a AS x", "a value is expected"),
        ("SELECT a AND t AS x", "AS and a name are expected"),
        ("SELECT a IN b.d AS x", "AS and a name are expected"),
        ("SELECT [1] AS x", "is no part of our SQL"),
        ("SELECT b.d[0] AS x", "is no part of our SQL"),
        ("SELECT (a) AS x", "a value is expected"),
        ("SELECT TRUE AS x", "a value is expected"),
        ("SELECT NULL AS x", "a value is expected"),
        ("SELECT CASE a WHEN 1 THEN 2 END AS x", "a value is expected"),
        ("SELECT (SELECT a) AS x", "a value is expected"),
        ("SELECT a; DROP", "is no part of our SQL"),
    ],
)
def test_everything_else_is_an_error_with_its_place(sql, words):
    with pytest.raises(RuleError, match=words):
        parse(sql)


@given(st.text(max_size=60))
def test_no_text_does_worse_than_a_stated_error(text):
    with contextlib.suppress(RuleError):
        parse(f"SELECT {text}").result(OCCASION)


def test_templates_are_filled_from_the_message():
    filled = parse_template("telemetry/${topic(2)}/${a}-${b.c}.json")
    assert filled(OCCASION) == "telemetry/thing-1/1-x.json"
    assert parse_template("plain")(OCCASION) == "plain"


@pytest.mark.parametrize("text", ["${a", "x ${a + }", "${nonsense()}", "${a + 1}", "${}"])
def test_a_template_that_is_not_understood_is_refused(text):
    with pytest.raises(RuleError):
        parse_template(text)


@pytest.mark.parametrize("text", ["${missing}", "${b}", "${t}", "${n}", "${f}"])
def test_a_template_without_a_value_is_an_error_of_that_message(text):
    with pytest.raises(RuleError, match="no whole number"):
        parse_template(text)(OCCASION)
