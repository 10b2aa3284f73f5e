"""Slack and PagerDuty get exactly what they take, by the templates of their stack."""

import http.server
import json
import re
import threading
from pathlib import Path

import pytest

from deploy.stacks.channels import PAGERDUTY_CHANNEL, SLACK_CHANNEL
from firedetect.cloudbox.destinations import rendered
from firedetect.cloudbox.tier import CHANNELS, load_tier
from firedetect.lambdas import calls
from tests.fakes.box import running_box, until

PAGE = (Path(__file__).parents[2] / "docs" / "escalation.md").read_text()
NOTICE = {
    "subject": "FIRE EMERGENCY: thing-1 at cellar", "level": "emergency", "site": "cellar",
    "text": 'It burns.\nSays "H3".', "thing": "thing-1", "incident_id": "thing-1-1-1", "tier": 0,
    "drill": False, "kind": "alarm", "link": "https://x.example/?t=1", "dedup_key": "thing-1-1-1",
}  # fmt: skip


class Receiver:
    """A service on this computer: keeps what it is sent, answers with `status`."""

    def __init__(self):
        self.got = []
        self.status = 202
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                size = int(self.headers["Content-Length"])
                outer.got.append((self.path, self.headers["Content-Type"], self.rfile.read(size)))
                self.send_response(outer.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.close()


def put(box, **changes):
    entry = {
        "Source": "firedetect", "DetailType": "notice", "EventBusName": "firedetect",
        "Detail": json.dumps(NOTICE | changes),
    }  # fmt: skip
    box.aws.client("events").put_events(Entries=[entry])


async def heard(box, receiver, count, **changes):
    """Put a notice, and return what the pager was sent of it; the chat hears its text."""
    receiver.got.clear()
    put(box, **changes)
    await until(lambda: len(receiver.got) == count, f"{count} requests of {changes}")
    got = [(path, json.loads(body)) for path, _, body in receiver.got]
    assert [body["text"] for path, body in got if path == "/slack"] == [
        '*FIRE EMERGENCY: thing-1 at cellar*\nIt burns.\nSays "H3".'
    ]
    paged = [body for path, body in got if path == "/pagerduty"]
    return sorted(paged, key=lambda body: body["dedup_key"])


@pytest.mark.slow
async def test_both_services_get_the_exact_payload_and_failures_wait(tmp_path, receiver):
    tier = load_tier(
        channels={
            "SlackUrl": f"{receiver.url}/slack",
            "PagerDutyUrl": f"{receiver.url}/pagerduty",
            "PagerDutyKey": "k-1",
        }
    )
    async with running_box(tmp_path / "box", tier=tier) as box:
        assert box.description()["stacks"][CHANNELS] == "CREATE_COMPLETE"
        put(box)
        await until(lambda: len(receiver.got) == 2, "both services")
        got = {path: json.loads(body) for path, _, body in receiver.got}
        assert got["/slack"] == {
            "text": '*FIRE EMERGENCY: thing-1 at cellar*\nIt burns.\nSays "H3".'
        }
        assert got["/pagerduty"] == {
            "routing_key": "k-1",
            "event_action": "trigger",
            "dedup_key": "thing-1-1-1:emergency",
            "client": "firedetect",
            "client_url": "https://x.example/?t=1",
            "payload": {
                "summary": "FIRE EMERGENCY: thing-1 at cellar",
                "source": "thing-1",
                "severity": "critical",
                "class": "emergency",
                "component": "cellar",
                "custom_details": {
                    "text": 'It burns.\nSays "H3".',
                    "incident_id": "thing-1-1-1",
                },
            },
        }
        # Who has taken over an emergency has taken over its alert, too; what is over is over whole.
        for action, kind in (("acknowledge", "taken-over"), ("resolve", "closed")):
            for level, covered in (("alert", ["alert"]), ("emergency", ["alert", "emergency"])):
                paged = await heard(box, receiver, 1 + len(covered), level=level, kind=kind)
                assert paged == [
                    {
                        "routing_key": "k-1",
                        "event_action": action,
                        "dedup_key": f"thing-1-1-1:{one}",
                    }
                    for one in covered
                ]
        # It was acknowledged there: a reminder calls nobody, and opens nothing that was resolved.
        assert await heard(box, receiver, 1, kind="reminder") == []
        # The alert that was taken over is another incident than the emergency after it.
        (alert,) = await heard(box, receiver, 2, level="alert")
        (again,) = await heard(box, receiver, 2, kind="unanswered")
        assert (alert["event_action"], alert["dedup_key"]) == ("trigger", "thing-1-1-1:alert")
        assert (again["event_action"], again["dedup_key"]) == ("trigger", "thing-1-1-1:emergency")
        receiver.got.clear()
        # A trouble is for the chat, nobody is paged; an information is for neither.
        put(box, level="trouble")
        put(box, level="informational")
        await until(lambda: receiver.got, "the chat")
        assert [path for path, _, _ in receiver.got] == ["/slack"]
        receiver.status = 500
        put(box, level="trouble")
        sqs, url = box.aws.client("sqs"), box.aws.queue_url("firedetect-function-errors")

        def waiting():
            answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)
            bodies = [json.loads(one["Body"]) for one in answer.get("Messages", [])]
            return [one for one in bodies if "FIRE EMERGENCY" in one.get("body", "")]

        await until(waiting, "the failure queue", limit_s=20.0)


TEMPLATES = [
    template
    for channel in (SLACK_CHANNEL, PAGERDUTY_CHANNEL)
    for hearing in channel.hears
    for template in hearing.templates
]


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("text", ['"', "\\", "a\nb", "\u2028", "<subject>", "ä 🔥", "\x00"])
def test_no_text_breaks_the_payload(template, text):
    paths = {name: f"$.detail.{name}" for name in NOTICE}
    made = rendered(template, paths, {"detail": NOTICE | {"text": text}})
    said = "".join(_texts(json.loads(made)))
    assert (text in said) is ("<text>" in template)
    assert "<text>" not in made


def test_every_kind_that_calls_people_calls_the_pager_and_those_that_end_it_end_it():
    hears = {kind: hearing.name for hearing in PAGERDUTY_CHANNEL.hears for kind in hearing.kinds}
    assert set(hears) == {"alarm", calls.UNANSWERED, calls.TAKEN_OVER, calls.CLOSED}


def test_what_the_pager_makes_of_each_kind_is_real():
    for hearing in PAGERDUTY_CHANNEL.hears:
        (line,) = re.findall(rf"^\| .*`{hearing.kinds[0]}`.* \| `(\w+)` \| .*$", PAGE, re.MULTILINE)
        assert all(f'"event_action": "{line}"' in template for template in hearing.templates)


def _texts(value):
    """Yield every text in a payload."""
    if isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def test_a_path_that_leads_nowhere_is_empty():
    made = rendered('{"a": "<x>", "n": <n>}', {"x": "$.no", "n": "$.n"}, {"n": 3})
    assert made == '{"a": "", "n": 3}'
