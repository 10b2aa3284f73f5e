"""Slack and PagerDuty get exactly what they take, by the templates of their stack."""

import http.server
import json
import threading

import pytest

from deploy.stacks.channels import PAGERDUTY_CHANNEL, SLACK_CHANNEL
from firedetect.cloudbox.destinations import rendered
from firedetect.cloudbox.tier import CHANNELS, load_tier
from tests.fakes.box import running_box, until

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
            "dedup_key": "thing-1-1-1",
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


@pytest.mark.parametrize("channel", [SLACK_CHANNEL, PAGERDUTY_CHANNEL])
@pytest.mark.parametrize("text", ['"', "\\", "a\nb", "\u2028", "<subject>", "ä 🔥", "\x00"])
def test_no_text_breaks_the_payload(channel, text):
    paths = {name: f"$.detail.{name}" for name in NOTICE}
    made = rendered(channel.template, paths, {"detail": NOTICE | {"text": text}})
    assert text in "".join(_texts(json.loads(made)))
    assert "<text>" not in made


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
