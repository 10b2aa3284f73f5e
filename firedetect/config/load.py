"""Reads settings or a calibration file, each whole; refuses what it does not know."""

import os
import tomllib
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from firedetect.config.calibration import GasBaseline, HotMask, ThermalCalibration
from firedetect.config.settings import ENV_PREFIX, Settings
from firedetect.contract.problems import problem_of
from firedetect.contract.settings import Section
from firedetect.errors import ConfigError

_Section = TypeVar("_Section", bound=Section)


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings from `path` (TOML) and the environment; raises ConfigError."""
    return _settings(_read_toml(path) if path is not None else {}, str(path or "settings"))


def parse_settings(text: str, name: str) -> Settings:
    """Read the settings from TOML and the environment; raises ConfigError, which has `name`."""
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name}: cannot be read as TOML: {error}") from error
    return _settings(values, name)


def load_gas_baseline(path: Path) -> GasBaseline:
    """Read a gas calibration file (TOML, table `gas`); raises ConfigError."""
    baseline = _table(path, "gas", GasBaseline)
    if baseline.co_problem:
        raise ConfigError(f"{path}: gas.{baseline.co_problem}")
    return baseline


def load_thermal_calibration(path: Path) -> ThermalCalibration:
    """Read a calibration file of the array (TOML, table `thermal`); raises ConfigError."""
    return _table(path, "thermal", ThermalCalibration)


def load_mask(path: Path) -> HotMask:
    """Read a mask file (TOML, table `mask`); raises ConfigError."""
    return _table(path, "mask", HotMask)


def _settings(values: dict[str, Any], name: str) -> Settings:
    _refuse_unknown_environment()
    try:
        return Settings(**values)
    except ValidationError as error:
        raise ConfigError(f"{name}: {problem_of(error)}") from error


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
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from error


def _refuse_unknown_environment() -> None:
    """Refuse a misspelt section: pydantic-settings overlooks names that it does not know."""
    for name in os.environ:
        if not name.startswith(ENV_PREFIX) or "__" not in name:
            continue
        section = name.removeprefix(ENV_PREFIX).split("__")[0].lower()
        if section not in Settings.model_fields:
            raise ConfigError(f"environment variable {name}: unknown section {section!r}")
