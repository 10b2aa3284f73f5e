"""The named shadows of one thing, over the SDK's shadow client."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from awsiot import iotshadow

from firedetect.contract.limits import refused_state
from firedetect.errors import ShadowRefusedError
from firedetect.uplink.meter import Meter
from firedetect.uplink.requests import answered, client_options, stream_options
from firedetect.uplink.sdk import SdkClient

_NOT_FOUND = "404"


@dataclass(frozen=True, slots=True)
class ShadowDocument:
    """A shadow as the service holds it; version 0 where there is none.

    `desired_s` is when `desired` was last written, in seconds since 1970, 0 if never.
    """

    version: int = 0
    desired: Any = None
    reported: dict[str, Any] = field(default_factory=dict)
    desired_s: int = 0


class Shadows(Protocol):
    """Reads and writes the shadows of one thing."""

    async def get(self, name: str) -> ShadowDocument:
        """Return the shadow; raises LinkDownError or ShadowRefusedError."""

    async def report(self, name: str, reported: dict[str, Any]) -> None:
        """Merge into `reported`, null deletes; raises LinkDownError or ShadowRefusedError."""

    def watch(self, name: str, hear: Callable[[], None]) -> None:
        """Call `hear` whenever the shadow may have changed."""


class ThingShadows:
    """The shadows of one thing over a connection."""

    def __init__(self, client: SdkClient, thing: str, meter: Meter | None = None) -> None:
        self._thing = thing
        self._meter = meter
        self._service = iotshadow.IotShadowClientV2(client, client_options())
        self._streams: list[Any] = []

    async def get(self, name: str) -> ShadowDocument:
        """Return the shadow; one that does not exist is empty."""
        self._count()
        request = iotshadow.GetNamedShadowRequest(thing_name=self._thing, shadow_name=name)
        try:
            answer = await answered(
                self._service.get_named_shadow(request), f"shadow {name}", ShadowRefusedError
            )
        except ShadowRefusedError as error:
            if f": {_NOT_FOUND} " in str(error):
                return ShadowDocument()
            raise
        desired = answer.state.desired if answer.state is not None else None
        reported = answer.state.reported if answer.state is not None else None
        stamps = answer.metadata.desired if answer.metadata is not None else None
        return ShadowDocument(
            version=answer.version or 0,
            desired=desired,
            reported=reported if isinstance(reported, dict) else {},
            desired_s=max(_stamps(stamps), default=0),
        )

    async def report(self, name: str, reported: dict[str, Any]) -> None:
        """Merge into `reported`; what AWS would refuse is refused here already."""
        await self._update(name, iotshadow.ShadowState(reported=reported), reported)

    async def desire(self, name: str, desired: dict[str, Any], version: int | None = None) -> int:
        """Merge into `desired`, as an operator; returns the new version.

        Raises ShadowRefusedError also when `version` is no longer the present one.
        """
        state = iotshadow.ShadowState(desired=desired)
        return await self._update(name, state, desired, version)

    def watch(self, name: str, hear: Callable[[], None]) -> None:
        """Call `hear` on every change, ours included, and when changes may have been missed.

        Not on deltas alone: a wish that equals what is in force makes none, but ends a refusal.
        """
        request = iotshadow.NamedShadowUpdatedSubscriptionRequest(
            thing_name=self._thing, shadow_name=name
        )
        stream = self._service.create_named_shadow_updated_stream(request, stream_options(hear))
        stream.open()
        self._streams.append(stream)

    def _count(self) -> None:
        if self._meter is not None:
            self._meter.shadow_operation()

    async def _update(
        self,
        name: str,
        state: iotshadow.ShadowState,
        part: dict[str, Any],
        version: int | None = None,
    ) -> int:
        refused = refused_state(part)
        if refused:
            raise ShadowRefusedError(f"shadow {name}: the document {refused}")
        self._count()
        request = iotshadow.UpdateNamedShadowRequest(
            thing_name=self._thing, shadow_name=name, state=state, version=version
        )
        answer = await answered(
            self._service.update_named_shadow(request), f"shadow {name}", ShadowRefusedError
        )
        return int(answer.version or 0)


def replacing(new: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    """Return what to merge so that `present` becomes `new`: what is gone is named with null.

    Empty when nothing differs.
    """
    return _changes(_without_empties(new), _without_empties(present))


def _changes(new: dict[str, Any], present: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {key: None for key in present if key not in new}
    for key, value in new.items():
        known = present.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            inner = _changes(value, known)
            if inner:
                changes[key] = inner
        elif not _same(value, known):
            changes[key] = value
    return changes


def _without_empties(section: dict[str, Any]) -> dict[str, Any]:
    """Return what the service keeps of a section: neither null nor an empty object."""
    kept = {
        key: _without_empties(value) if isinstance(value, dict) else value
        for key, value in section.items()
    }
    return {key: value for key, value in kept.items() if value is not None and value != {}}


def _same(one: object, other: object) -> bool:
    """Whether two JSON values are equal: 60.0 is 60 for the service, true is not 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return one == other


def _stamps(metadata: object) -> Iterator[int]:
    """Yield every timestamp of a section's metadata."""
    if isinstance(metadata, dict):
        stamp = metadata.get("timestamp")
        if isinstance(stamp, int):
            yield stamp
        else:
            for inner in metadata.values():
                yield from _stamps(inner)
    elif isinstance(metadata, list):
        for inner in metadata:
            yield from _stamps(inner)
