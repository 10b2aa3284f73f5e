"""The part of AWS IoT's rules SQL that our rules use; everything else is an error with its place.

SELECT columns [FROM 'topic/filter'] [WHERE condition]. A column is `*`, a path, or an expression
with AS. Expressions have paths, literals, lists, arithmetic, comparisons, AND, OR, NOT, IN and the
functions below. FROM may be missing where messages come by basic ingest. What is undefined drops
its column and makes a condition false.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import JsonValue

from firedetect.cloudbox.rules_tokens import Token, tokens
from firedetect.cloudbox.rules_values import (
    COMPARISONS,
    FUNCTIONS,
    Expression,
    Occasion,
    Undefined,
    Value,
    both,
    calculated,
    compared,
    constant,
    contained,
    either,
    negated,
    path,
    topic,
)
from firedetect.cloudbox.wire import JsonObject
from firedetect.errors import RuleError

_TOPIC_PART: Final = re.compile(r"\$\{(.*?)\}")
_KEYWORDS: Final = frozenset(("SELECT", "AS", "FROM", "WHERE", "AND", "OR", "NOT", "IN"))
_LITERALS: Final[Mapping[str, JsonValue]] = {"TRUE": True, "FALSE": False, "NULL": None}
_DEEPEST: Final = 20


@dataclass(frozen=True, slots=True)
class Query:
    """A statement: `columns` are name and expression, the name `*` takes the whole message."""

    columns: tuple[tuple[str, Expression], ...]
    topic_filter: str | None
    condition: Expression | None

    def result(self, occasion: Occasion) -> JsonObject | None:
        """Return what is selected, None if the condition does not hold."""
        if self.condition is not None and self.condition(occasion) is not True:
            return None
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
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise RuleError(f"{text!r}: a substitution has no value in this message")
    return str(value)


class _Parser:
    """Recursive descent; one method per level of precedence, the weakest first."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens(text)
        self._at = 0
        self._depth = 0

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
            topic_filter = _unquoted(token.text)
        condition = self._expression() if self._take("WHERE") else None
        self._end()
        return Query(tuple(columns), topic_filter, condition)

    def alone(self) -> Expression:
        expression = self._expression()
        self._end()
        return expression

    def _column(self) -> tuple[str, Expression]:
        start = self._peek()
        if self._take("*"):
            return "*", lambda occasion: occasion.message
        first = self._at
        expression = self._expression()
        if self._take("AS"):
            name = self._next()
            if name.kind != "word":
                raise self._error(name, "AS needs a name")
            return name.text, expression
        used = self._tokens[first : self._at]
        if any(token.kind != "word" and token.text != "." for token in used):
            raise self._error(start, "an expression needs AS and a name")
        return used[-1].text, expression

    def _expression(self) -> Expression:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._error(self._peek(), f"is nested deeper than {_DEEPEST}")
        left = self._conjunction()
        while self._take("OR"):
            left = either(left, self._conjunction())
        self._depth -= 1
        return left

    def _conjunction(self) -> Expression:
        left = self._negation()
        while self._take("AND"):
            left = both(left, self._negation())
        return left

    def _negation(self) -> Expression:
        turned = False
        while self._take("NOT"):
            turned = not turned
        inner = self._comparison()
        return negated(inner) if turned else inner

    def _comparison(self) -> Expression:
        left = self._sum()
        token = self._peek()
        if token.kind == "sign" and token.text in COMPARISONS:
            self._next()
            return compared(token.text, left, self._sum())
        if self._take("IN"):
            return contained(left, self._sum())
        return left

    def _sum(self) -> Expression:
        left = self._product()
        while self._peek().kind == "sign" and self._peek().text in "+-":
            left = calculated(self._next().text, left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._operand()
        while self._peek().kind == "sign" and self._peek().text in "*/%":
            left = calculated(self._next().text, left, self._operand())
        return left

    def _operand(self) -> Expression:
        token = self._next()
        if token.kind == "number":
            return constant(float(token.text) if "." in token.text else int(token.text))
        if token.kind == "text":
            return constant(_unquoted(token.text))
        if token.text == "-":
            return calculated("-", constant(0), self._operand())
        if token.text == "(":
            inner = self._expression()
            self._need(")")
            return inner
        if token.text == "[":
            return self._list()
        if token.kind != "word" or token.word in _KEYWORDS:
            raise self._error(token, "a value is expected")
        return self._named(token)

    def _list(self) -> Expression:
        items: list[Expression] = []
        while not self._take("]"):
            if items:
                self._need(",")
            items.append(self._expression())

        def listed(occasion: Occasion) -> Value:
            values = [item(occasion) for item in items]
            return [value for value in values if not isinstance(value, Undefined)]

        return listed

    def _named(self, token: Token) -> Expression:
        if self._take("("):
            return self._call(token)
        if token.word in _LITERALS:
            return constant(_LITERALS[token.word])
        parts = [token.text]
        while self._take("."):
            part = self._next()
            if part.kind != "word":
                raise self._error(part, "a path goes on with a name")
            parts.append(part.text)
        return path(parts)

    def _call(self, token: Token) -> Expression:
        name = token.text.lower()
        if name == "topic":
            number = None
            if self._peek().kind == "number":
                number = self._next()
            self._need(")")
            return topic(None if number is None else self._place_of_level(number))
        if name not in FUNCTIONS:
            raise self._error(token, f"there is no function {token.text} here")
        self._need(")")
        return FUNCTIONS[name]

    def _place_of_level(self, token: Token) -> int:
        if not token.text.isdecimal() or int(token.text) < 1:
            raise self._error(token, "levels of a topic are counted from 1")
        return int(token.text) - 1

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


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'")
