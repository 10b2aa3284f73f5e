"""The shadow service: classic and named shadows over MQTT, kept in the box's database."""

import json
import sqlite3
from collections.abc import Sequence
from typing import Final

from firedetect.clock import NS_PER_S, Clock
from firedetect.cloudbox.shadow import Refused, Shadow, client_token, delete, read, update
from firedetect.cloudbox.wire import JsonObject, NotJsonError, Reply, decoded, encoded

_VERBS: Final = ("get", "update", "delete")


class Shadows:
    """Every shadow of every thing."""

    filters: Sequence[str] = tuple(
        f"$aws/things/+/shadow/{place}{verb}" for place in ("", "name/+/") for verb in _VERBS
    )

    def __init__(self, database: sqlite3.Connection, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def answer(self, topic: str, payload: bytes) -> list[Reply]:
        """Carry out the request of a topic and return what is published about it."""
        thing, name, verb = _parts(topic)
        return self.carry_out(thing, name, verb, payload)

    def carry_out(self, thing: str, name: str, verb: str, payload: bytes) -> list[Reply]:
        """Do `get`, `update` or `delete`; the name of the classic shadow is empty.

        The first reply is `accepted` or `rejected`.
        """
        topic = shadow_topic(thing, name, verb)
        request = _request(verb, payload)
        if isinstance(request, Refused):
            return [self._rejected(topic, request, {})]
        token = client_token(request)
        if isinstance(token, Refused):
            return [self._rejected(topic, token, {})]
        if verb == "get":
            return [self._read(topic, thing, name, token)]
        if verb == "delete":
            return [self._deleted(topic, thing, name, token)]
        return self._updated(topic, thing, name, request, token)

    def _read(self, topic: str, thing: str, name: str, token: JsonObject) -> Reply:
        done = read(self._load(thing, name), name or thing, self._now())
        if isinstance(done, Refused):
            return self._rejected(topic, done, token)
        return Reply(f"{topic}/accepted", done | token)

    def _deleted(self, topic: str, thing: str, name: str, token: JsonObject) -> Reply:
        now = self._now()
        done = delete(self._load(thing, name), name or thing, now)
        if isinstance(done, Refused):
            return self._rejected(topic, done, token)
        self._store(thing, name, done)
        return Reply(f"{topic}/accepted", {"version": done.version, "timestamp": now} | token)

    def _updated(
        self, topic: str, thing: str, name: str, request: JsonObject, token: JsonObject
    ) -> list[Reply]:
        done = update(self._load(thing, name), request, self._now())
        if isinstance(done, Refused):
            return [self._rejected(topic, done, token)]
        self._store(thing, name, done.shadow)
        replies = [Reply(f"{topic}/accepted", done.accepted | token)]
        if done.delta:
            replies.append(Reply(f"{topic}/delta", done.delta | token))
        return [*replies, Reply(f"{topic}/documents", done.documents | token)]

    def _rejected(self, topic: str, refused: Refused, token: JsonObject) -> Reply:
        body: JsonObject = {"code": refused.code, "message": refused.message}
        return Reply(f"{topic}/rejected", body | {"timestamp": self._now()} | token)

    def _now(self) -> int:
        return self._clock.wall_ns() // NS_PER_S

    def _load(self, thing: str, name: str) -> Shadow:
        row = self._database.execute(
            "SELECT version, timestamp, state, metadata, deleted FROM shadow"
            " WHERE thing = ? AND name = ?",
            (thing, name),
        ).fetchone()
        if row is None:
            return Shadow()
        version, timestamp, state, metadata, deleted = row
        return Shadow(version, timestamp, json.loads(state), json.loads(metadata), bool(deleted))

    def _store(self, thing: str, name: str, shadow: Shadow) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO shadow VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                thing,
                name,
                shadow.version,
                shadow.timestamp,
                encoded(shadow.state),
                encoded(shadow.metadata),
                shadow.deleted,
            ),
        )


def shadow_topic(thing: str, name: str, verb: str) -> str:
    """Return the topic on which a shadow is asked for `verb`."""
    return f"$aws/things/{thing}/shadow/{f'name/{name}/' if name else ''}{verb}"


def _parts(topic: str) -> tuple[str, str, str]:
    parts = topic.split("/")
    return parts[2], parts[5] if parts[4] == "name" else "", parts[-1]


def _request(verb: str, payload: bytes) -> JsonObject | Refused:
    try:
        return decoded(payload)
    except UnicodeDecodeError:
        words = "Unsupported documented encoding; supported encoding is UTF-8"
        return {} if verb == "delete" else Refused(415, words)
    except NotJsonError:
        # What a delete says is ignored.
        return {} if verb == "delete" else Refused(400, "Invalid JSON")
