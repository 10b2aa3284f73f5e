"""The page behind the link in a message: what burns where, and one button. Pure.

Only the button acknowledges: programs that look at links in messages press none.
"""

import base64
import hashlib
from collections.abc import Mapping
from html import escape
from typing import Final

from firedetect.lambdas.calls import who
from firedetect.lambdas.incident import Incident
from firedetect.lambdas.notices import DRILL, because, place

_STYLE: Final = (
    "body{font:1.2em/1.5 sans-serif;max-width:34em;margin:2em auto;padding:0 1em}"
    "h1{font-size:1.4em}dt{font-weight:bold}dd{margin:0 0 .5em}"
    "button{font-size:1.2em;padding:.6em 1.2em}"
)
_HELP: Final = "Acknowledge at the detector itself, or call the people of the site."


def answer(status: int, title: str, *body: str) -> dict[str, object]:
    """Return a page as a function's address sends it; what is in `body` is HTML already."""
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(title)}</h1>{''.join(body)}</html>"
    )
    return {"statusCode": status, "headers": dict(_headers()), "body": page}


def refused(why: str) -> dict[str, object]:
    """Return that a link is not to be believed."""
    return answer(
        403, "This link cannot be used", _paragraph(f"The link is not valid: {why}."), _help()
    )


def picture(address: str) -> dict[str, object]:
    """Return the way to a picture."""
    found = answer(302, "The picture", _paragraph("Your browser should show it by itself."))
    return found | {"headers": dict(_headers()) | {"location": address}}


def no_picture() -> dict[str, object]:
    """Return that there is no picture, which may still come."""
    words = (
        "The detector has not sent a picture of this alarm yet. It takes some seconds after the "
        "alarm, longer if the network is bad: load this page again."
    )
    return answer(404, "No picture yet", _paragraph(words))


def unknown() -> dict[str, object]:
    """Return that there is no such incident."""
    return answer(
        404, "Not known", _paragraph("There is no such alarm, or it is not recorded yet."), _help()
    )


def not_allowed() -> dict[str, object]:
    """Return that a page is only to be read, and its button to be pressed."""
    found = answer(405, "Not possible", _paragraph("Open the link, then press the button."))
    return found | {"headers": dict(_headers()) | {"allow": "GET, HEAD, POST"}}


def failed() -> dict[str, object]:
    """Return that something of ours does not work now."""
    words = "It is not certain that this was noted. Try again in a moment."
    return answer(503, "That did not work", _paragraph(words), _help())


def asking(incident: Incident, picture: str) -> dict[str, object]:
    """Return what burns where, with the button; it says which level was seen.

    `picture` is where the picture is, if the incident has one.
    """
    return answer(200, _title(incident), _facts(incident, picture), _button(incident))


def risen(incident: Incident, picture: str) -> dict[str, object]:
    """Return that it is not what was seen, but higher or back: somebody must look again."""
    back = ", and it came back after it was over" if incident.again else ""
    words = _paragraph(f"Look again: it is {incident.level} now{back}.")
    return answer(409, _title(incident), words, _facts(incident, picture), _button(incident))


def taken(incident: Incident, picture: str, *, now: bool) -> dict[str, object]:
    """Return that somebody has taken over: by this request, or before."""
    first = incident.taken_over
    by = f"by {who(first)}, at {first.at}" if first else "before"
    words = f"Thank you. It is noted {by}." if now else f"It was acknowledged already {by}."
    title = "Acknowledged" if now else "Already acknowledged"
    return answer(200, title, _paragraph(words), _facts(incident, picture))


def over(incident: Incident, picture: str) -> dict[str, object]:
    """Return that there is nothing to take over any more."""
    when = incident.reset_at or incident.closed_at
    since = _paragraph(f"Since {when}.")
    return answer(200, "This alarm is over", since, _facts(incident, picture))


def _title(incident: Incident) -> str:
    fire = "Fire again:" if incident.again_at(incident.level) else "Fire"
    return f"{fire} {incident.level}: {incident.thing} at {place(incident.site)}"


def _facts(incident: Incident, picture: str) -> str:
    facts: Mapping[str, str] = {
        "Where": f"{place(incident.site)}, detector {incident.thing}",
        "How severe": f"{incident.level} (now {incident.current})",
        "Why": because(incident.reasons),
        "Since": incident.opened_at,
    }
    if incident.back:
        facts = {**facts, "Again since": incident.back.first.at}
    rows = (f"<dt>{escape(name)}</dt><dd>{escape(fact)}</dd>" for name, fact in facts.items())
    drill = _paragraph(DRILL) if incident.drill else ""
    link = f'<p><a href="{escape(picture)}">Look at the picture</a></p>'
    return f"{drill}<dl>{''.join(rows)}</dl>{link if incident.picture else ''}"


def _button(incident: Incident) -> str:
    number = f'<input type="hidden" name="again" value="{incident.again}">'
    again = number if incident.again else ""
    return (
        f'<form method="post">{again}<button name="level" value="{escape(incident.level)}">'
        "I take care of it</button></form>"
        "<p>This stops further calls. It does not silence the detector.</p>"
    )


def _paragraph(words: str) -> str:
    return f"<p>{escape(words)}</p>"


def _help() -> str:
    return _paragraph(_HELP)


def _headers() -> Mapping[str, str]:
    style = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    return {
        "content-type": "text/html; charset=utf-8",
        "cache-control": "no-store",
        "content-security-policy": (
            f"default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "referrer-policy": "no-referrer",
        "strict-transport-security": "max-age=31536000",
        "x-content-type-options": "nosniff",
        "x-robots-tag": "noindex",
    }
