"""The configuration: read once, whole, from TOML and environment; anything unknown is refused.

Settings can make the hard rules more sensitive than the compiled floors, never less.
"""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from firedetect.errors import ConfigError

ENV_PREFIX = "FIREDETECT_"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Thresholds(_Section):
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


class Confirmation(_Section):
    """A level counts when `k` of the last `n` seconds reached it."""

    k: Annotated[int, Field(ge=1, le=8)] = 3
    n: Annotated[int, Field(ge=1, le=8)] = 5

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.k > self.n:
            msg = "k must not exceed n"
            raise ValueError(msg)
        return self


class HardLimits(_Section):
    """Limits of the hard rules. The defaults are the floors; only more sensitive values pass."""

    air_emergency_c: Annotated[float, Field(ge=45.0, le=58.0)] = 58.0
    air_rate_c_per_min: Annotated[float, Field(ge=5.0, le=8.3)] = 8.3
    air_rise_alert_c: Annotated[float, Field(ge=5.0, le=8.0)] = 8.0
    air_rise_emergency_c: Annotated[float, Field(ge=8.0, le=15.0)] = 15.0
    pixel_alert_c: Annotated[float, Field(ge=80.0, le=150.0)] = 150.0
    pixel_emergency_c: Annotated[float, Field(ge=100.0, le=200.0)] = 200.0
    co_alert_ppm: Annotated[float, Field(ge=50.0, le=100.0)] = 100.0
    co2_rise_ppm_per_min: Annotated[float, Field(ge=150.0, le=300.0)] = 300.0


class DecisionSettings(_Section):
    """How scores become levels; what a device shadow may change."""

    thresholds: Thresholds = Thresholds()
    confirm: Confirmation = Confirmation()
    confirm_emergency: Confirmation = Confirmation(k=4, n=6)
    hold_s: Annotated[float, Field(ge=10.0, le=600.0)] = 60.0
    hysteresis: Annotated[float, Field(ge=0.0, le=0.2)] = 0.1
    silence_max_s: Annotated[float, Field(ge=10.0, le=600.0)] = 600.0
    remote_emergency_silence: bool = False
    hard: HardLimits = HardLimits()


class DeviceSettings(_Section):
    """Who this detector is and where it keeps its data."""

    id: Annotated[str, Field(pattern=f"^{_NAME.pattern}$")] = "firedetect"
    site: Annotated[str, Field(max_length=128)] = ""
    site_class: Literal["dwelling", "office", "kitchen", "workshop"] = "dwelling"
    data_dir: Path = Path("var")


class ThermalSettings(_Section):
    """The MLX90640 thermal array."""

    enabled: bool = True
    bus: Annotated[int, Field(ge=0, le=255)] = 1
    address: Annotated[int, Field(ge=0x08, le=0x77)] = 0x33
    refresh_hz: Literal[2, 4, 8, 16, 32] = 8
    pattern: Literal["chess", "interleaved"] = "chess"
    emissivity: Annotated[float, Field(ge=0.1, le=1.0)] = 0.95
    ta_shift_c: Annotated[float, Field(ge=0.0, le=30.0)] = 8.0


class GasSettings(_Section):
    """The Grove Multichannel Gas Sensor v2."""

    enabled: bool = True
    bus: Annotated[int, Field(ge=0, le=255)] = 1
    address: Annotated[int, Field(ge=0x08, le=0x77)] = 0x08
    interval_s: Annotated[float, Field(ge=0.5, le=5.0)] = 1.0
    calibration: Path | None = None


class ModelSettings(_Section):
    """The model bundle; without a path the one that came with the program."""

    bundle: Path | None = None


class OutputSettings(_Section):
    """Local alarm outputs: lines of the GPIO chip found by its label."""

    enabled: bool = False
    chip_label: str = "pinctrl-rp1"
    siren_line: Annotated[int, Field(ge=0, le=63)] = 17
    light_line: Annotated[int, Field(ge=0, le=63)] = 27
    trouble_line: Annotated[int, Field(ge=0, le=63)] = 22


class WebSettings(_Section):
    """The local page; it listens on this machine only."""

    enabled: bool = True
    port: Annotated[int, Field(ge=0, le=65535)] = 8017


class LogSettings(_Section):
    """Where log lines go; `auto` takes the journal under systemd, else text."""

    format: Literal["auto", "json", "text", "journal"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(BaseSettings):
    """Every setting of the device; `firmware_config/firedetect.toml` shows and explains them."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
    )

    device: DeviceSettings = DeviceSettings()
    thermal: ThermalSettings = ThermalSettings()
    gas: GasSettings = GasSettings()
    decision: DecisionSettings = DecisionSettings()
    model: ModelSettings = ModelSettings()
    outputs: OutputSettings = OutputSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file."""
        return env_settings, init_settings


class GasBaseline(_Section):
    """Clean-air counts of the four films (0 < count < 1023), and how CO was calibrated, if it was.

    `co_a` and `co_beta` belong to R0/Rs = (ppm / co_a) ** co_beta; only a user's span calibration
    sets them, and without them no CO concentration exists.
    """

    no2: Annotated[float, Field(gt=0, lt=1023)]
    c2h5oh: Annotated[float, Field(gt=0, lt=1023)]
    voc: Annotated[float, Field(gt=0, lt=1023)]
    co: Annotated[float, Field(gt=0, lt=1023)]
    co_a: Annotated[float, Field(gt=0)] | None = None
    co_beta: Annotated[float, Field(gt=0.05, lt=2.0)] | None = None


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings from `path` (TOML) and the environment; raises ConfigError."""
    values = _read_toml(path) if path is not None else {}
    _refuse_unknown_environment()
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError(f"{path or 'settings'}: {first_problem(error)}") from error


def load_gas_baseline(path: Path) -> GasBaseline:
    """Read a gas calibration file (TOML, table `gas`); raises ConfigError."""
    values = _read_toml(path)
    try:
        return GasBaseline.model_validate(values.get("gas", {}))
    except ValidationError as error:
        raise ConfigError(f"{path}: gas.{first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """Return the first problem of a validation as `key: reason`."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"]) or "settings"
    reason = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
    given = problem.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return f"{key}: {reason}{shown}"


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error


def _refuse_unknown_environment() -> None:
    """Refuse a misspelt section: pydantic-settings overlooks names that it does not know."""
    for name in os.environ:
        if not name.startswith(ENV_PREFIX) or "__" not in name:
            continue
        section = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if section not in Settings.model_fields:
            raise ConfigError(f"environment variable {name}: unknown section {section!r}")
