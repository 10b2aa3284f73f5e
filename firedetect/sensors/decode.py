"""Raw readings to readings; live operation and replay both use it."""

from typing import Final

from firedetect.readings import Event, Sensor, SensorOpened, SubPage, SystemTrouble
from firedetect.sensors.mlx90640 import pace
from firedetect.sensors.mlx90640.images import ImageAssembler

RANGE_TROUBLE: Final = "thermal-range"
"""The name of the trouble while an array cannot see as hot as the hard rules ask."""


class Decoder:
    """Turns raw sub-pages into images; every other event passes unchanged."""

    def __init__(self) -> None:
        self._images = ImageAssembler()
        self._told: dict[str, str] = {}

    def feed(self, event: Event) -> tuple[Event, ...]:
        """Return the events that the pipeline gets for this one, in order; often none."""
        if isinstance(event, SubPage):
            decoded = self._images.feed(event)
            return () if decoded is None else (decoded,)
        if isinstance(event, SensorOpened) and event.sensor is Sensor.THERMAL:
            folded = None if event.images else self._images.feed(event)
            unreached = event.problem if event.images else ""
            said = (
                folded,
                self._change(event, pace.TROUBLE, event.slow),
                self._change(event, RANGE_TROUBLE, unreached),
            )
            return (event, *(one for one in said if one is not None))
        return (event,)

    def _change(self, event: SensorOpened, name: str, why: str) -> SystemTrouble | None:
        """Return a trouble that an opening has, or the end of one that the last one had."""
        before = self._told.get(name, "")
        self._told[name] = why
        if why == before:
            return None
        return SystemTrouble(event.t_ns, name, active=bool(why), detail=why)
