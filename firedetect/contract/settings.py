"""The settings that may change from afar: how scores become levels, and what is reported how often.

The bounds are the floors: no document and no file can cross them.
"""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Section(BaseModel):
    """A part of the settings: frozen, without unknown keys, NaN or infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Thresholds(Section):
    """Score at which each level begins; strictly increasing (`decision` levels, 0 to 1)."""

    informational: Annotated[float, Field(ge=0.05, le=0.4)] = 0.2
    warning: Annotated[float, Field(ge=0.05, le=0.6)] = 0.4
    alert: Annotated[float, Field(ge=0.05, le=0.75)] = 0.6
    emergency: Annotated[float, Field(ge=0.05, le=0.9)] = 0.8

    @model_validator(mode="after")
    def _increasing(self) -> Self:
        if not self.informational < self.warning < self.alert < self.emergency:
            msg = "must increase strictly: informational < warning < alert < emergency"
            raise ValueError(msg)
        return self


class Confirmation(Section):
    """A level counts when `k` of the last `n` seconds reached it."""

    k: Annotated[int, Field(ge=1, le=8)] = 3
    n: Annotated[int, Field(ge=1, le=8)] = 5

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.k > self.n:
            msg = "k must not exceed n"
            raise ValueError(msg)
        return self


class HardLimits(Section):
    """Limits of the hard rules. The defaults are the floors; only more sensitive values pass."""

    air_emergency_c: Annotated[float, Field(ge=45.0, le=58.0)] = 58.0
    air_rate_c_per_min: Annotated[float, Field(ge=5.0, le=8.3)] = 8.3
    air_rise_alert_c: Annotated[float, Field(ge=5.0, le=8.0)] = 8.0
    air_rise_emergency_c: Annotated[float, Field(ge=8.0, le=15.0)] = 15.0
    pixel_alert_c: Annotated[float, Field(ge=80.0, le=150.0)] = 150.0
    pixel_emergency_c: Annotated[float, Field(ge=100.0, le=200.0)] = 200.0
    co_alert_ppm: Annotated[float, Field(ge=50.0, le=100.0)] = 100.0
    co2_rise_ppm_per_min: Annotated[float, Field(ge=150.0, le=300.0)] = 300.0


class DecisionRules(Section):
    """How scores become levels, as far as it may change from afar."""

    thresholds: Thresholds = Thresholds()
    confirm: Confirmation = Confirmation()
    confirm_emergency: Confirmation = Confirmation(k=4, n=6)
    hold_s: Annotated[float, Field(ge=10.0, le=600.0)] = 60.0
    hysteresis: Annotated[float, Field(ge=0.0, le=0.2)] = 0.1
    silence_max_s: Annotated[float, Field(ge=10.0, le=600.0)] = 600.0
    hard: HardLimits = HardLimits()


class DecisionSettings(DecisionRules):
    """How scores become levels, with what is set at the device only."""

    remote_emergency_silence: bool = False


class TelemetrySettings(Section):
    """How often features and scores are sent; one vector a second is always kept."""

    batch_s: Annotated[int, Field(ge=60, le=300)] = 60


class GasSampling(Section):
    """How the gas board is read."""

    interval_s: Annotated[float, Field(ge=0.5, le=5.0)] = 1.0


class SensorSampling(Section):
    """How the sensors are read."""

    gas: GasSampling = GasSampling()


class RemoteSettings(DecisionRules):
    """Everything that the shadow `config` may change.

    Whether an emergency can be silenced from afar is not among it: that is set at the device.
    """

    telemetry: TelemetrySettings = TelemetrySettings()
    sensors: SensorSampling = SensorSampling()
