"""firedetect-supervisor: every minute, which detectors prove that they sense, and which do not.

A detector without beats is silent, whatever its connection says, and so is one whose beats prove
nothing: that is told first. Those that beat get a lease, word that the tier behind the broker
works: the oldest first, as many as there is time for.
"""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final

from firedetect.contract.messages import Lease
from firedetect.errors import FiredetectError
from firedetect.lambdas import devices, link, metrics
from firedetect.lambdas.devices import LINK, Devices
from firedetect.lambdas.notices import TROUBLE, Notice, fit
from firedetect.lambdas.now import Now, in_ms, iso, utc_now
from firedetect.lambdas.people import Speaker, send_down
from firedetect.lambdas.rows import QUICK, client, every_row
from firedetect.lambdas.settings import SupervisorSettings

SILENT_AFTER_S: Final = 70.0
"""Three beats and a half: with a look every minute, which may be late, a hung detector is told of
within 150 s."""
FRESH_S: Final = 30.0
"""A reading that is older proves nothing."""
STARTING_S: Final = 60.0
"""So long after its start a detector may have no reading yet."""
AHEAD_S: Final = 60.0
"""A row from later than now was written before the clock was set back: it proves nothing."""
LEASE_VALID_S: Final = 900.0
LEASE_EVERY_S: Final = 300.0
RESERVE_MS: Final = 5_000
"""No lease is begun with less time than a call that hangs may take."""
LEASES_MS: Final = 12_000
"""Kept for leases when many are silent at once: who waits for word hears it at the next look."""
BEAT: Final = "beat"
SILENCE: Final = "silence"
LEASE: Final = "lease"
_GO: Final = "Do not rely on it. Go and look."

_log = logging.getLogger(__name__)


RemainingMs = Callable[[], int]
"""Milliseconds until the function is ended."""


class SupervisionError(FiredetectError):
    """Not every detector could be looked after; the message names them."""


@dataclass(frozen=True, slots=True)
class Duties:
    """What is to be done about one detector; `returned`: its rows say so, whoever is told."""

    silent: bool = False
    back: bool = False
    returned: bool = False
    lease: bool = False


@dataclass(frozen=True, slots=True)
class Device:
    """The rows of one detector: time of the newest beat, loss of link, silence, lease."""

    thing: str
    rows: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @property
    def site(self) -> str:
        """Where it is, as it says itself."""
        said = (self.rows.get(kind, {}).get("site") for kind in (BEAT, devices.TROUBLE, LINK))
        return next((str(site) for site in said if site), "")

    @property
    def heard_ms(self) -> int:
        """When it last beat; one that never did is waited for since it first said anything."""
        spoken = (devices.TROUBLE, LINK) if BEAT not in self.rows else (BEAT,)
        return max(self.at_ms(kind) for kind in spoken)

    def at_ms(self, kind: str) -> int:
        """Time of a row, 0 if there is none."""
        return link.at_ms(self.rows.get(kind, {}))

    def state(self, kind: str) -> object:
        """State of a row, None if there is none."""
        return self.rows.get(kind, {}).get("state")


def duties(device: Device, now_ms: int) -> Duties:
    """Return what is to be done; each change of state is told once. Pure."""
    if not device.heard_ms:
        return Duties()
    age_s = (now_ms - device.heard_ms) / 1000
    silent = device.state(SILENCE) == "silent"
    if not -AHEAD_S <= age_s <= SILENT_AFTER_S:
        return Duties(silent=not silent)
    if BEAT not in device.rows:
        return Duties()
    due = not 0 <= now_ms - device.at_ms(LEASE) < LEASE_EVERY_S * 1000
    if unproven(device.rows[BEAT]):
        return Duties(silent=not silent, lease=due)
    lost = _link_returned(device)
    # A loss that people were spared is over without a word, too.
    told = silent or (lost and link.believed_lost(device.rows[LINK]))
    return Duties(back=told, returned=silent or lost, lease=due)


def unproven(beat: Mapping[str, object]) -> str:
    """Return why a beat does not prove that fires are seen, nothing if it does."""
    if beat.get("known_answer") is False:
        return "its model does not know a fire when it is shown one"
    sensors, uptime_s = beat.get("sensors"), beat.get("uptime_s")
    known = sensors.values() if isinstance(sensors, dict) else ()
    ages = (sensor.get("age_s") for sensor in known if isinstance(sensor, dict))
    fresh = any(isinstance(age_s, int | float) and age_s <= FRESH_S for age_s in ages)
    starting = isinstance(uptime_s, int | float) and uptime_s < STARTING_S
    return "" if fresh or starting else "none of its sensors has given a fresh reading"


def _stays_silent(device: Device, todo: Duties) -> bool:
    return todo.silent or (device.state(SILENCE) == "silent" and not todo.returned)


def _link_returned(device: Device) -> bool:
    gone = device.state(LINK) in {link.LOST, link.RETURNED}
    return gone and device.at_ms(BEAT) > device.at_ms(LINK)


def handler(event: object, context: Any) -> dict[str, object]:  # noqa: ANN401, ARG001 - AWS's shape
    """Look at every detector once; raises SupervisionError after trying them all."""
    return _supervisor().look(context.get_remaining_time_in_millis)


class Supervisor:
    """The handler with the clients it uses."""

    def __init__(
        self,
        settings: SupervisorSettings,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        sns: Any,  # noqa: ANN401
        iot: Any,  # noqa: ANN401
        now: Now = utc_now,
        *,
        events: Any = None,  # noqa: ANN401
    ) -> None:
        self._settings = settings
        self._dynamodb = dynamodb
        self._devices = Devices(dynamodb, settings.devices_table)
        self._speaker = Speaker(sns, settings.people_topic_arn, events, settings.event_bus)
        self._iot = iot
        self._now = now

    def look(self, remaining_ms: RemainingMs) -> dict[str, object]:
        """Tell what is due of every detector, then give the leases for which there is time."""
        now_ms = in_ms(self._now())
        look = [(device, duties(device, now_ms)) for device in self._fleet()]
        counts = {"devices": len(look), "silent": 0, "back": 0, "leases": 0}
        metrics.count("SilentDevices", sum(_stays_silent(*one) for one in look))
        failed: set[str] = set()
        for device, todo in sorted(look, key=lambda one: not one[1].silent):
            if counts["silent"] and remaining_ms() < LEASES_MS:
                _log.warning("many are silent at once: some are told of at the next look")
                break
            counts["silent"] += todo.silent
            counts["back"] += todo.back
            self._try(device, failed, partial(self._speak, device, todo, now_ms))
        due = [device for device, todo in look if todo.lease]
        for device in sorted(due, key=lambda one: one.at_ms(LEASE)):
            if remaining_ms() < RESERVE_MS:
                _log.info("%d leases are left for the next look", len(due) - counts["leases"])
                break
            counts["leases"] += 1
            self._try(device, failed, partial(self._lease, device, now_ms))
        if failed:
            raise SupervisionError(f"not looked after: {', '.join(sorted(failed))}")
        return dict(counts)

    def _try(self, device: Device, failed: set[str], do: Callable[[], None]) -> None:
        try:
            do()
        except Exception as error:  # noqa: BLE001 - the others must be looked after, too
            _log.warning("%s: %s", device.thing, error)
            failed.add(device.thing)

    def _fleet(self) -> list[Device]:
        rows: dict[str, dict[str, Mapping[str, object]]] = {}
        for row in every_row(self._dynamodb, self._settings.devices_table):
            rows.setdefault(str(row["thing"]), {})[str(row["kind"])] = row
        return [Device(thing, kinds) for thing, kinds in sorted(rows.items())]

    def _speak(self, device: Device, todo: Duties, now_ms: int) -> None:
        # People first, the note that they were told after: better twice than never.
        said = []
        if todo.silent:
            age_s = (now_ms - device.heard_ms) / 1000
            text = _silent_text(device, age_s)
            said.append(self._tell(device, "Trouble", "is silent", text, _GO))
            self._note(device.thing, SILENCE, "silent", now_ms)
        if todo.back:
            text = f"The detector {device.thing} proves again that it senses."
            said.append(self._tell(device, "Trouble ended", "is back", text, text))
        if todo.returned:
            if device.state(SILENCE) == "silent":
                self._note(device.thing, SILENCE, "back", now_ms)
            if _link_returned(device):
                # The time of the proof: a loss after it is newer, even if it comes late. A row that
                # has changed since it was read tells of such a loss, and stays.
                back = {"state": link.BACK, "told": False, "received_ms": device.at_ms(BEAT)}
                before = dict(device.rows[LINK])
                self._devices.keep(before, before | back)
        for notice in said:
            self._speaker.post(notice)

    def _lease(self, device: Device, now_ms: int) -> None:
        lease = Lease(device=device.thing, ts=iso(self._now()), valid_s=LEASE_VALID_S)
        send_down(self._iot, device.thing, lease)
        self._note(device.thing, LEASE, "given", now_ms)

    def _tell(self, device: Device, word: str, what: str, text: str, act: str) -> Notice:
        where = device.site or "a site without name"
        subject = fit(f"{word}: {device.thing} at {where} {what}")
        notice = Notice(TROUBLE, device.site, device.thing, SILENCE, subject, text, act=act)
        self._speaker.tell(notice, {})
        return notice

    def _note(self, thing: str, kind: str, state: str, now_ms: int) -> None:
        self._devices.put({"thing": thing, "kind": kind, "state": state, "received_ms": now_ms})


def _silent_text(device: Device, age_s: float) -> str:
    why = unproven(device.rows.get(BEAT, {}))
    if BEAT in device.rows and 0 <= age_s <= SILENT_AFTER_S and why:
        return (
            f"The detector {device.thing} says that it lives, but proves nothing: {why}.\n"
            "Do not rely on it. Go and look."
        )
    return (
        f"The detector {device.thing} has not proved for {age_s:.0f} s that it senses.\n"
        "It may be without power, without network, or hung. Do not rely on it.\n"
        "Go and look."
    )


@cache
def _supervisor() -> Supervisor:
    """Return the one of this execution environment: clients are made once."""
    settings = SupervisorSettings.read(os.environ)
    return Supervisor(
        settings,
        client("dynamodb"),
        client("sns"),
        client("iot-data", QUICK),
        events=client("events", QUICK),
    )
