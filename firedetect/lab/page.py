"""Pages of reports: one style, tables, marks; everything a page needs is inside it."""

import html
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from firedetect.errors import DatasetError

STYLE: Final = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1a202c; background: #fff; }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; font-size: 13px; }
th, td { border-bottom: 1px solid #e2e8f0; padding: .2rem .7rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
.words th, .words td { text-align: left; vertical-align: top; }
.ok { color: #276749; } .bad { color: #9b2c2c; font-weight: 600; }
svg { max-width: 100%; height: auto; }
code { font-size: 12px; }
"""


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def page(title: str, parts: Iterable[str]) -> str:
    """Return a whole page from parts that are markup."""
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style>"
        + "\n".join(parts)
        + "</html>\n"
    )


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, words: bool = False) -> str:
    """Return a table, of figures or of words; cells that are not Markup are escaped."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row) + "</tr>" for row in rows
    )
    kind = " class=words" if words else ""
    return f"<table{kind}><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def paragraph(text: str) -> str:
    """Return plain text as a paragraph."""
    return f"<p>{html.escape(text)}</p>"


def write_page(out: Path, content: str, figures: Mapping[str, object]) -> None:
    """Write `out` as HTML and, beside it, its figures as JSON; raises DatasetError."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(content, "utf-8")
        out.with_suffix(".json").write_text(
            json.dumps(figures, indent=1, allow_nan=False) + "\n", "utf-8"
        )
    except OSError as error:
        raise DatasetError(f"{out}: cannot be written: {error.strerror or error}") from error


def _cell(value: object) -> str:
    return value if isinstance(value, Markup) else html.escape(str(value))
