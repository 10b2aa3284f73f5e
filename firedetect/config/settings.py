"""Every setting of the device, section by section, with its default."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from firedetect.contract.clients import valid_thing
from firedetect.contract.settings import DecisionSettings, Section

ENV_PREFIX = "FIREDETECT_"
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class DeviceSettings(Section):
    """Who this detector is and where it keeps its data.

    `kept_recordings` is how many recordings of alarms stay in the data folder; 0 makes none.
    """

    id: Annotated[str, Field(pattern=f"^{_NAME.pattern}$")] = "firedetect"
    site: Annotated[str, Field(max_length=128)] = ""
    site_class: Literal["dwelling", "office", "kitchen", "workshop"] = "dwelling"
    data_dir: Path = Path("var")
    kept_recordings: Annotated[int, Field(ge=0, le=100)] = 20

    @field_validator("id")
    @classmethod
    def _of_a_thing(cls, name: str) -> str:
        if not valid_thing(name):
            raise ValueError("the cloud takes no name that begins with '-' or 'claim-'")
        return name


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
    """Local alarm outputs, and a button: lines of the GPIO chip found by its label."""

    enabled: bool = False
    chip_label: str = "pinctrl-rp1"
    siren_line: Annotated[int, Field(ge=0, le=63)] = 17
    light_line: Annotated[int, Field(ge=0, le=63)] = 27
    trouble_line: Annotated[int, Field(ge=0, le=63)] = 22
    button_line: Annotated[int, Field(ge=0, le=63)] | None = None

    @model_validator(mode="after")
    def _a_line_for_each(self) -> Self:
        lines = [self.siren_line, self.light_line, self.trouble_line]
        lines += [] if self.button_line is None else [self.button_line]
        if len(set(lines)) < len(lines):
            raise ValueError("siren, light, trouble and button need a line each")
        if self.button_line is not None and not self.enabled:
            raise ValueError("button_line: a button is read only where outputs are enabled")
        return self


class UplinkSettings(Section):
    """The way to AWS IoT Core; without an endpoint the detector works alone.

    Without paths the identity lies in the data folder, where `firedetect provision` puts it, and
    the system's certificate authorities are trusted. `second_path_url` gets an alarm by HTTP POST
    when the cloud gives no receipt for it; without an endpoint it is the only path and gets every
    message at once. `receivers_reported` is false for an endpoint that
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
