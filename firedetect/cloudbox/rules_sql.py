"""The part of AWS IoT's rules SQL that our rules use; everything else is an error with its place.

SELECT columns [FROM 'topic/filter']. A column is `*`, or a path, a text, a whole number, `topic(n)`
or `timestamp()` with AS and a name. FROM may be missing where messages come by basic ingest. There
is no WHERE and there are no operators: what AWS makes of values of another type cannot be tried.

Source: AWS IoT Core developer guide, pages iot-sql-select, iot-sql-literals, iot-sql-functions and
iot-substitution-templates. Not published, our choice: a path that does not exist drops its column,
a column after `*` replaces what the message has of that name, and a substitution without a text or
a whole number is an error of that message.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from firedetect.cloudbox.rules_tokens import Token, tokens
from firedetect.cloudbox.rules_values import (
    Expression,
    Occasion,
    Undefined,
    Value,
    constant,
    path,
    timestamp,
    topic,
)
from firedetect.cloudbox.wire import JsonObject
from firedetect.errors import RuleError

_TOPIC_PART: Final = re.compile(r"\$\{(.*?)\}")
_RESERVED: Final = frozenset(
    {"SELECT", "VALUE", "AS", "FROM", "WHERE", "AND", "OR", "NOT", "IN", "EXISTS", "CASE", "WHEN"}
    | {"THEN", "ELSE", "END", "TRUE", "FALSE", "NULL", "UNDEFINED"}
)
"""Words that mean something else than a name of the message, to AWS or to us."""


@dataclass(frozen=True, slots=True)
class Query:
    """A statement: `columns` are name and expression, the name `*` takes the whole message."""

    columns: tuple[tuple[str, Expression], ...]
    topic_filter: str | None

    def result(self, occasion: Occasion) -> JsonObject:
        """Return what is selected."""
        selected: JsonObject = {}
        for name, expression in self.columns:
            value = expression(occasion)
            if isinstance(value, Undefined):
                continue
            if name == "*" and isinstance(value, dict):
                selected |= value
            else:
                selected[name] = value
        return selected


def parse(text: str) -> Query:
    """Return the query; raises RuleError with the position of what is not understood."""
    return _Parser(text).query()


def parse_template(text: str) -> Callable[[Occasion], str]:
    """Return a text with `${expression}` in it as a function; raises RuleError."""
    pieces: list[str | Expression] = []
    end = 0
    for found in _TOPIC_PART.finditer(text):
        pieces += [text[end : found.start()], _Parser(found.group(1)).alone()]
        end = found.end()
    pieces.append(text[end:])
    if any(isinstance(piece, str) and "${" in piece for piece in pieces):
        raise RuleError(f"{text!r}: a substitution is not closed")

    def filled(occasion: Occasion) -> str:
        return "".join(
            piece if isinstance(piece, str) else _said(piece(occasion), text) for piece in pieces
        )

    return filled


def _said(value: Value, text: str) -> str:
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise RuleError(f"{text!r}: a substitution has no text and no whole number in this message")
    return str(value)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0

    def query(self) -> Query:
        self._need("SELECT")
        columns = [self._column()]
        while self._take(","):
            columns.append(self._column())
        topic_filter = None
        if self._take("FROM"):
            token = self._next()
            if token.kind != "text":
                raise self._error(token, "FROM needs a topic filter in quotes")
            topic_filter = token.text[1:-1]
        self._end()
        return Query(tuple(columns), topic_filter)

    def alone(self) -> Expression:
        expression = self._expression()
        self._end()
        return expression

    def _column(self) -> tuple[str, Expression]:
        if self._take("*"):
            return "*", lambda occasion: occasion.message
        expression = self._expression()
        if not self._take("AS"):
            raise self._error(self._peek(), "AS and a name are expected")
        name = self._next()
        if name.kind != "word" or name.word in _RESERVED:
            raise self._error(name, "AS needs a name")
        return name.text, expression

    def _expression(self) -> Expression:
        token = self._next()
        if token.kind == "number":
            return constant(int(token.text))
        if token.kind == "text":
            return constant(token.text[1:-1])
        if token.kind != "word" or token.word in _RESERVED:
            raise self._error(token, "a value is expected")
        return self._call(token) if self._take("(") else self._path(token)

    def _path(self, first: Token) -> Expression:
        parts = [first.text]
        while self._take("."):
            part = self._next()
            if part.kind != "word":
                raise self._error(part, "a path goes on with a name")
            parts.append(part.text)
        return path(parts)

    def _call(self, token: Token) -> Expression:
        match token.text:
            case "topic":
                level = self._next()
                if level.kind != "number" or int(level.text) < 1:
                    raise self._error(level, "a level of the topic is expected, counted from 1")
                made = topic(int(level.text))
            case "timestamp":
                made = timestamp
            case _:
                raise self._error(token, f"there is no function {token.text} here")
        self._need(")")
        return made

    def _peek(self) -> Token:
        return self._tokens[self._at]

    def _next(self) -> Token:
        token = self._tokens[self._at]
        if token.kind != "end":
            self._at += 1
        return token

    def _take(self, wanted: str) -> bool:
        token = self._peek()
        if token.kind in {"word", "sign"} and token.word == wanted:
            self._at += 1
            return True
        return False

    def _need(self, wanted: str) -> None:
        token = self._peek()
        if not self._take(wanted):
            raise self._error(token, f"{wanted} is expected")

    def _end(self) -> None:
        token = self._peek()
        if token.kind != "end":
            raise self._error(token, "is not understood")

    def _error(self, token: Token, words: str) -> RuleError:
        found = repr(token.text) if token.text else "the end"
        return RuleError(f"{self._text!r}, position {token.place + 1} ({found}): {words}")
