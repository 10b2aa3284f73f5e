"""The sequence of the SCD41: in periodic measurement, never calibrating itself."""

import asyncio
import math
from collections.abc import Callable

from firedetect.clock import NS_PER_S, Clock, sleep_until
from firedetect.config import Co2Settings
from firedetect.errors import BusError, BusStuckError, FrameRejectedError, NoFrameError, SensorError
from firedetect.readings import AirReading, Co2Reading, Event, Sensor, SensorOpened
from firedetect.sensors.base import Stillness, since_boot_s
from firedetect.sensors.bus import I2cBus
from firedetect.sensors.scd41.wire import (
    CORRECTION_FAILED,
    CORRECTION_ZERO,
    GET_SELF_CALIBRATION,
    MEASUREMENT,
    READY,
    READY_MASK,
    RECALIBRATE,
    REINIT,
    SERIAL,
    SET_PRESSURE,
    SET_SELF_CALIBRATION,
    START,
    STOP,
    VARIANT,
    VARIANT_SCD41,
    VARIANT_SHIFT,
    VARIANTS,
    WAKE_UP,
    WORD_BYTES,
    Command,
    decode_co2,
    decode_words,
)

BUSY_S = 0.5
"""The longest time for which a command of an earlier program may keep the sensor silent."""
PERIOD_S = 5.0
POLL_S = 0.25
READY_DEADLINE_S = 8.0
"""No new value for so long after the last one: the sensor has to be set up again."""
READY_PATIENCE_S = 1.0
"""A caller that comes late still waits so long."""
PRESSURE_MIN_HPA, PRESSURE_MAX_HPA = 700.0, 1200.0
TARGET_MIN_PPM, TARGET_MAX_PPM = 400, 5000
"""The specified range: nothing outside of it can be a reference."""
SETTLED_S = 180.0
"""A forced recalibration needs so long a measurement in the reference air before it."""


class Scd41:
    """Reads the CO2 concentration; `serial` is the sensor's number once it was open."""

    sensor = Sensor.CO2

    def __init__(
        self,
        bus: I2cBus,
        settings: Co2Settings,
        clock: Clock,
        powered_s: Callable[[], float] = since_boot_s,
    ) -> None:
        self.serial: int | None = None
        self._bus = bus
        self._settings = settings
        self._clock = clock
        self._powered_s = powered_s
        self._turn = asyncio.Lock()
        self._pressure_hpa: int | None = None
        self._measured_hpa: int | None = None
        self._started_ns: int | None = None
        self._fresh_ns = 0
        self._rejected = False
        self._stillness = Stillness(self.sensor)

    async def open(self) -> SensorOpened:
        """Bring the sensor from any state to measuring, with self-calibration off.

        Raises BusError when the bus fails, SensorError for another sensor than an SCD41.
        """
        async with self._turn:
            self._started_ns = None
            self._rejected = False
            await self._to_idle()
            await self._identify()
            await self._stop_self_calibration()
            await self._start()
        return SensorOpened(self._clock.monotonic_ns(), self.sensor, self._powered_s())

    async def read(self) -> Co2Reading:
        """Return the next value (ppm), waiting for one for READY_DEADLINE_S at most.

        Raises BusError when the bus fails, NoFrameError when no value comes in time, FrozenError
        when it stays the same for long, FrameRejectedError for a damaged or impossible one,
        SensorError for the second in a row.
        """
        async with self._turn:
            try:
                await self._pass_pressure_on()
                await self._wait_for_data()
                # Not repeated: the buffer is empty once it was read.
                words = await self._exchange(MEASUREMENT)
                t_ns = self._clock.monotonic_ns()
                self._stillness.expect_change(t_ns, words)
                reading = Co2Reading(t_ns, decode_co2(words))
            except FrameRejectedError as error:
                again, self._rejected = self._rejected, True
                if again:
                    raise SensorError(f"{error}, the second in a row") from error
                raise
            self._rejected = False
            return reading

    async def close(self) -> None:
        """Leave the sensor measuring, so that it stays warm; `open` starts with a stop."""

    async def set_pressure(self, hpa: float) -> None:
        """Tell the sensor the ambient pressure (700 to 1200 hPa), also while it measures.

        It is told again at every `open`. Raises SensorError out of range, BusError.
        """
        if not PRESSURE_MIN_HPA <= hpa <= PRESSURE_MAX_HPA:
            raise SensorError(
                f"co2: ambient pressure {hpa:g} hPa, the sensor takes {PRESSURE_MIN_HPA:g} to "
                f"{PRESSURE_MAX_HPA:g}"
            )
        async with self._turn:
            self._pressure_hpa = round(hpa)
            await self._run(SET_PRESSURE, self._pressure_hpa)

    def heard(self, event: Event) -> None:
        """Note the air pressure that another sensor measured; the next `read` passes it on."""
        if isinstance(event, AirReading) and not math.isnan(event.pressure_hpa):
            hpa = min(max(event.pressure_hpa, PRESSURE_MIN_HPA), PRESSURE_MAX_HPA)
            self._measured_hpa = round(hpa)

    async def recalibrate(self, target_ppm: int) -> int:
        """Make the air around the sensor read `target_ppm`; return the correction (ppm).

        The sensor must have measured in this air for SETTLED_S since `open`. It measures again
        afterwards and keeps the correction over power cycles. Raises SensorError if the target is
        out of range, it has measured too short, or it refuses; BusError.
        """
        if not TARGET_MIN_PPM <= target_ppm <= TARGET_MAX_PPM:
            raise SensorError(
                f"co2: target {target_ppm} ppm, the sensor's range is {TARGET_MIN_PPM} to "
                f"{TARGET_MAX_PPM}"
            )
        async with self._turn:
            self._expect_settled()
            await self._run(STOP)
            try:
                # Not repeated: a second one would return the rest of the correction only.
                (word,) = await self._exchange(RECALIBRATE, target_ppm)
            finally:
                await self._start()
        if word == CORRECTION_FAILED:
            raise SensorError(
                f"co2: forced recalibration to {target_ppm} ppm failed: let the sensor measure in "
                f"steady reference air for {SETTLED_S:g} s, then try again"
            )
        return word - CORRECTION_ZERO

    def _expect_settled(self) -> None:
        now_ns = self._clock.monotonic_ns()
        measured_s = 0.0 if self._started_ns is None else (now_ns - self._started_ns) / NS_PER_S
        if measured_s < SETTLED_S:
            raise SensorError(
                f"co2: has measured for {measured_s:.0f} s: leave it in the reference air for "
                f"{SETTLED_S:g} s before a forced recalibration"
            )

    async def _to_idle(self) -> None:
        """Wake, stop, and load the stored settings: a restart of the Pi leaves it as it was."""
        try:
            await self._bus.transfer(self._settings.address, WAKE_UP.send())
        except BusStuckError:
            raise
        except BusError:
            pass
        await asyncio.sleep(WAKE_UP.busy_s)
        await self._run(STOP)
        await self._run(REINIT)

    async def _identify(self) -> None:
        high, middle, low = await self._run(SERIAL)
        (variant,) = await self._run(VARIANT)
        kind = variant >> VARIANT_SHIFT
        if kind != VARIANT_SCD41:
            name = VARIANTS.get(kind, "unknown sensor")
            raise SensorError(
                f"co2: variant word 0x{variant:04X} is an {name}, an SCD41 is expected: another "
                "range and accuracy would be taken for this one's"
            )
        self.serial = high << 32 | middle << 16 | low

    async def _stop_self_calibration(self) -> None:
        """Switch it off where it is on: it takes the lowest of a week for outdoor air.

        The setting is not stored: the memory wears out, and every `open` comes here.
        """
        if await self._run(GET_SELF_CALIBRATION) == (0,):
            return
        await self._run(SET_SELF_CALIBRATION, 0)
        if await self._run(GET_SELF_CALIBRATION) != (0,):
            raise SensorError("co2: self-calibration stays on: check wiring and supply")

    async def _start(self) -> None:
        if self._pressure_hpa is not None:
            await self._run(SET_PRESSURE, self._pressure_hpa)
        await self._run(START)
        self._started_ns = self._fresh_ns = self._clock.monotonic_ns()

    async def _pass_pressure_on(self) -> None:
        """Tell the sensor the pressure if it has changed by what moves its reading (0.1 %)."""
        new = self._measured_hpa
        if new is not None and new != self._pressure_hpa:
            self._pressure_hpa = new
            await self._run(SET_PRESSURE, new)

    async def _wait_for_data(self) -> None:
        """Ask whether there is a new value, again when it is due, then a few times a second."""
        due_ns = self._fresh_ns + round(PERIOD_S * NS_PER_S)
        limit_ns = max(
            self._fresh_ns + round(READY_DEADLINE_S * NS_PER_S),
            self._clock.monotonic_ns() + round(READY_PATIENCE_S * NS_PER_S),
        )
        while True:
            (status,) = await self._run(READY)
            now_ns = self._clock.monotonic_ns()
            if status & READY_MASK:
                self._fresh_ns = now_ns
                return
            if now_ns > limit_ns:
                raise NoFrameError(
                    f"co2: no new value for {(now_ns - self._fresh_ns) / NS_PER_S:.1f} s, status "
                    f"0x{status:04X}"
                )
            await sleep_until(self._clock, max(due_ns, now_ns + round(POLL_S * NS_PER_S)))

    async def _run(self, command: Command, argument: int | None = None) -> tuple[int, ...]:
        """Run a command, once more if it was not acknowledged or its answer was damaged."""
        try:
            return await self._exchange(command, argument)
        except BusStuckError:
            raise
        except BusError:
            # It does not acknowledge while it is busy.
            await asyncio.sleep(BUSY_S)
        except FrameRejectedError:
            pass
        return await self._exchange(command, argument)

    async def _exchange(self, command: Command, argument: int | None = None) -> tuple[int, ...]:
        """Send, wait, and return the words of the answer."""
        address = self._settings.address
        await self._bus.transfer_again(address, command.send(argument))
        await asyncio.sleep(command.busy_s)
        if not command.words:
            return ()
        # A transfer of its own: the answer is not there at a repeated start.
        reply = await self._bus.transfer_again(address, b"", command.words * WORD_BYTES)
        return decode_words(command, reply)
