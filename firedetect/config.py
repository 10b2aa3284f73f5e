"""The configuration: read once, whole, from TOML and environment; anything unknown is refused.

Settings can make the hard rules more sensitive than the compiled floors, never less.
"""

import hashlib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AwareDatetime, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from firedetect.contract.problems import problem_of
from firedetect.contract.settings import DecisionSettings, Section
from firedetect.errors import ConfigError

ENV_PREFIX = "FIREDETECT_"
_Section = TypeVar("_Section", bound=Section)
_EEPROM_BYTES = 2 * 832
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class DeviceSettings(Section):
    """Who this detector is and where it keeps its data."""

    id: Annotated[str, Field(pattern=f"^{_NAME.pattern}$")] = "firedetect"
    site: Annotated[str, Field(max_length=128)] = ""
    site_class: Literal["dwelling", "office", "kitchen", "workshop"] = "dwelling"
    data_dir: Path = Path("var")


class ThermalSettings(Section):
    """The MLX90640 thermal array; a calibration file wins over emissivity and shift here."""

    enabled: bool = True
    bus: Annotated[int, Field(ge=0, le=255)] = 1
    address: Annotated[int, Field(ge=0x08, le=0x77)] = 0x33
    refresh_hz: Literal[2, 4, 8, 16, 32] = 8
    pattern: Literal["chess", "interleaved"] = "chess"
    emissivity: Annotated[float, Field(ge=0.1, le=1.0)] = 0.95
    ta_shift_c: Annotated[float, Field(ge=0.0, le=30.0)] = 8.0
    calibration: Path | None = None
    mask: Path | None = None


class LeptonSettings(Section):
    """The FLIR Lepton 3.5 on a PureThermal board (optional), instead of the MLX90640.

    `device` is its video node, or a file of recorded frames. Without `telemetry` its frames do not
    tell their resolution, and 0.01 K is assumed.
    """

    enabled: bool = False
    device: Path = Path("/dev/video0")
    telemetry: bool = True


class GasSettings(Section):
    """The Grove Multichannel Gas Sensor v2."""

    enabled: bool = True
    bus: Annotated[int, Field(ge=0, le=255)] = 1
    address: Annotated[int, Field(ge=0x08, le=0x77)] = 0x08
    interval_s: Annotated[float, Field(ge=0.5, le=5.0)] = 1.0
    calibration: Path | None = None


class Co2Settings(Section):
    """The SCD41 CO2 sensor (optional); it has a new value every 5 s."""

    enabled: bool = False
    bus: Annotated[int, Field(ge=0, le=255)] = 1
    address: Annotated[int, Field(ge=0x62, le=0x62)] = 0x62
    interval_s: Annotated[float, Field(ge=5.0, le=8.0)] = 5.0


class AirSettings(Section):
    """The BME280 for air temperature, humidity and pressure (optional)."""

    enabled: bool = False
    bus: Annotated[int, Field(ge=0, le=255)] = 1
    address: Annotated[int, Field(ge=0x76, le=0x77)] = 0x76
    interval_s: Annotated[float, Field(ge=1.0, le=5.0)] = 2.0


class ModelSettings(Section):
    """The model bundle; without a path the installed one, else the one that came along.

    Only bundles signed with one of the public keys (PEM) in the folder `trusted_keys` can be
    installed.
    """

    bundle: Path | None = None
    trusted_keys: Path | None = None


class OutputSettings(Section):
    """Local alarm outputs: lines of the GPIO chip found by its label."""

    enabled: bool = False
    chip_label: str = "pinctrl-rp1"
    siren_line: Annotated[int, Field(ge=0, le=63)] = 17
    light_line: Annotated[int, Field(ge=0, le=63)] = 27
    trouble_line: Annotated[int, Field(ge=0, le=63)] = 22


class UplinkSettings(Section):
    """The way to AWS IoT Core; without an endpoint the detector works alone.

    Without paths the identity lies in the data folder, where `firedetect provision` puts it, and
    the system's certificate authorities are trusted. `second_path_url` gets an alarm by HTTP POST
    when the cloud gives no receipt for it. `receivers_reported` is false for an endpoint that
    answers "no matching subscribers" also to what its rules take: then an acknowledge is enough,
    alarms still need their receipt.
    """

    endpoint: Annotated[str, Field(pattern=r"^[a-zA-Z0-9.:-]{0,253}$")] = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 8883
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    second_path_url: Annotated[str, Field(pattern=r"^(https?://.*)?$", max_length=2048)] = ""
    share_recordings: bool = False
    receivers_reported: bool = True

    @model_validator(mode="after")
    def _second_path_has_a_first(self) -> Self:
        if self.second_path_url and not self.endpoint:
            msg = "second_path_url is taken when the cloud gives no receipt: set endpoint, too"
            raise ValueError(msg)
        return self


class PictureSettings(Section):
    """Whether the picture of an alarm leaves the house, and where to.

    `share` is the site's opt-in: at each new alert or emergency the newest image of the array goes
    into the bucket at `bucket_url`, in `region`. The right to put it there is asked of AWS IoT's
    credentials provider `credentials_endpoint` (host, or host:port) with the device's certificate.
    """

    share: bool = False
    credentials_endpoint: Annotated[str, Field(pattern=r"^[a-zA-Z0-9.-]{0,253}(:\d{1,5})?$")] = ""
    bucket_url: Annotated[str, Field(pattern=r"^(https?://\S+[^/\s])?$", max_length=512)] = ""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,32}$")] = ""


class WebSettings(Section):
    """The local page; it listens on this machine only."""

    enabled: bool = True
    port: Annotated[int, Field(ge=0, le=65535)] = 8017


class LogSettings(Section):
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
    lepton: LeptonSettings = LeptonSettings()
    gas: GasSettings = GasSettings()
    co2: Co2Settings = Co2Settings()
    air: AirSettings = AirSettings()
    decision: DecisionSettings = DecisionSettings()
    model: ModelSettings = ModelSettings()
    outputs: OutputSettings = OutputSettings()
    uplink: UplinkSettings = UplinkSettings()
    pictures: PictureSettings = PictureSettings()
    web: WebSettings = WebSettings()
    log: LogSettings = LogSettings()

    @model_validator(mode="after")
    def _one_array(self) -> Self:
        if self.lepton.enabled and self.thermal.enabled:
            msg = "there is one thermal array: for the Lepton set thermal.enabled = false"
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _pictures_have_a_way(self) -> Self:
        ways = self.pictures
        # The cloud in a box says by itself where it is: there is no endpoint here then.
        if ways.share and self.uplink.endpoint:
            for name in ("credentials_endpoint", "bucket_url", "region"):
                if not getattr(ways, name):
                    msg = f"pictures.share needs pictures.{name}"
                    raise ValueError(msg)
        return self

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


class GasBaseline(Section):
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


class ThermalCalibration(Section):
    """What was found out about one array at its commissioning.

    `offset_c` is added to every pixel; `bad_pixels` (0 to 767, row by row) are those beyond the
    maker's; `spread_c` is the spatial deviation of the scene that it hung before. `eeprom` holds
    its 832 words as 3328 hexadecimal digits, blanks allowed.
    """

    offset_c: Annotated[float, Field(ge=-10.0, le=10.0)] = 0.0
    emissivity: Annotated[float, Field(ge=0.1, le=1.0)]
    ta_shift_c: Annotated[float, Field(ge=0.0, le=30.0)]
    noise_c: Annotated[float, Field(gt=0.0, lt=10.0)]
    spread_c: Annotated[float, Field(ge=0.0)]
    bad_pixels: Annotated[tuple[Annotated[int, Field(ge=0, le=767)], ...], Field(max_length=4)] = ()
    eeprom_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    eeprom: str

    @property
    def eeprom_bytes(self) -> bytes:
        """The 832 words, the high byte of each first."""
        return bytes.fromhex(self.eeprom)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.eeprom_bytes) != _EEPROM_BYTES:
            msg = f"eeprom has {len(self.eeprom_bytes)} bytes, {_EEPROM_BYTES} are expected"
            raise ValueError(msg)
        if hashlib.sha256(self.eeprom_bytes).hexdigest() != self.eeprom_sha256:
            msg = "eeprom is damaged: its SHA-256 is another; type  firedetect calibrate thermal"
            raise ValueError(msg)
        return self


MASK_MAX_SHARE = 0.15
_MASK_ROWS, _MASK_COLUMNS = 24, 32
_FREE = "."


class HotMask(Section):
    """Places that may be hot, as a picture: 24 rows of 32 signs, a dot where nothing is masked.

    A letter marks a place; `limits_c` says up to which temperature each is legal (°C).
    """

    approved: AwareDatetime
    rows: Annotated[tuple[str, ...], Field(min_length=_MASK_ROWS, max_length=_MASK_ROWS)]
    limits_c: dict[str, Annotated[float, Field(ge=40.0, le=400.0)]]

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        marks = "".join(self.rows).replace(_FREE, "")
        problem = ""
        if any(len(row) != _MASK_COLUMNS for row in self.rows):
            problem = f"rows must have {_MASK_COLUMNS} signs each"
        elif set(marks) - self.limits_c.keys():
            problem = f"limits_c has no place {min(set(marks) - self.limits_c.keys())}"
        elif len(marks) > MASK_MAX_SHARE * _MASK_ROWS * _MASK_COLUMNS:
            problem = f"hides {len(marks)} pixels, more than {MASK_MAX_SHARE:.0%} of the image"
        if problem:
            raise ValueError(problem)
        return self


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings from `path` (TOML) and the environment; raises ConfigError."""
    values = _read_toml(path) if path is not None else {}
    _refuse_unknown_environment()
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError(f"{path or 'settings'}: {problem_of(error)}") from error


def load_gas_baseline(path: Path) -> GasBaseline:
    """Read a gas calibration file (TOML, table `gas`); raises ConfigError."""
    return _table(path, "gas", GasBaseline)


def load_thermal_calibration(path: Path) -> ThermalCalibration:
    """Read a calibration file of the array (TOML, table `thermal`); raises ConfigError."""
    return _table(path, "thermal", ThermalCalibration)


def load_mask(path: Path) -> HotMask:
    """Read a mask file (TOML, table `mask`); raises ConfigError."""
    return _table(path, "mask", HotMask)


def _table(path: Path, name: str, model: type[_Section]) -> _Section:
    values = _read_toml(path)
    try:
        return model.model_validate(values.get(name, {}))
    except ValidationError as error:
        raise ConfigError(f"{path}: {name}.{problem_of(error)}") from error


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
