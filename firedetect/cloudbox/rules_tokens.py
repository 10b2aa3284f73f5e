"""Words and signs of rules SQL, each with its place."""

import re
from dataclasses import dataclass
from typing import Final

from firedetect.errors import RuleError

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+)(?![\w.])|(?P<text>'[^'\\]*')(?!')"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*)|(?P<sign>[*(),.]))"
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number, text or sign, and where it stands."""

    kind: str
    text: str
    place: int

    @property
    def word(self) -> str:
        """The text; words of the language are not sensitive to case."""
        return self.text.upper() if self.kind == "word" else self.text


def tokens(text: str) -> list[Token]:
    """Return the tokens of a statement; the last one is its end. Raises RuleError."""
    found_tokens = []
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            place += len(text[place:]) - len(text[place:].lstrip())
            raise RuleError(
                f"{text!r}, position {place + 1} ({text[place]!r}): is no part of our SQL"
            )
        kind = found.lastgroup
        found_tokens.append(Token(kind, found.group(kind), found.start(kind)))
        place = found.end()
    return [*found_tokens, Token("end", "", len(text))]
