"""Raw readings to readings; live operation and replay both use it."""

from firedetect.readings import Event, Sensor, SensorOpened, SubPage
from firedetect.sensors.mlx90640.images import ImageAssembler


class Decoder:
    """Turns raw sub-pages into images; every other event passes unchanged."""

    def __init__(self) -> None:
        self._images = ImageAssembler()

    def feed(self, event: Event) -> tuple[Event, ...]:
        """Return the events that the pipeline gets for this one, in order; often none."""
        if isinstance(event, SubPage):
            decoded = self._images.feed(event)
            return () if decoded is None else (decoded,)
        if isinstance(event, SensorOpened) and event.sensor is Sensor.THERMAL and not event.images:
            said = self._images.feed(event)
            return (event,) if said is None else (event, said)
        return (event,)
