"""Calibration files: TOML that says when and how it was taken; what was before is never lost."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from firedetect.config import GasBaseline, load_gas_baseline
from firedetect.errors import ConfigError
from firedetect.storage.slots import Disk

Value = float | int | str | tuple[str, ...] | tuple[int, ...] | Mapping[str, float]
_WORDS_A_LINE: Final = 64


def keep_baseline(
    path: Path, baseline: GasBaseline, taken: Mapping[str, Value] | None = None
) -> GasBaseline:
    """Write the baseline with what is known of CO: that belongs to the film, not to the air.

    Raises ConfigError.
    """
    if path.exists():
        known = load_gas_baseline(path)
        baseline = baseline.model_copy(update={"co_a": known.co_a, "co_beta": known.co_beta})
    keep(path, {"gas": baseline.model_dump(exclude_none=True), "taken": taken or {}})
    return baseline


def keep(path: Path, tables: Mapping[str, Mapping[str, Value]]) -> None:
    """Write a file of tables, whole or not at all; what it held stays as `<name>.before`.

    Raises ConfigError.
    """
    disk = Disk()
    new = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            disk.write(new, path.read_bytes())
            disk.replace(new, path.with_name(f"{path.name}.before"))
        disk.write(new, _toml(tables).encode())
        disk.replace(new, path)
        disk.sync(path.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be kept: {error.strerror or error}") from error


def _toml(tables: Mapping[str, Mapping[str, Value]]) -> str:
    parts = []
    for name, values in tables.items():
        if values:
            lines = (f"{key} = {_literal(value)}" for key, value in values.items())
            parts.append("\n".join([f"[{name}]", *lines, ""]))
    return "\n".join(parts)


def _literal(value: Value) -> str:
    """Return a value as TOML; a long text is broken into lines that a person can look at."""
    if isinstance(value, str):
        if len(value) <= _WORDS_A_LINE:
            return f'"{value}"'
        lines = (value[k : k + _WORDS_A_LINE] for k in range(0, len(value), _WORDS_A_LINE))
        return "\n".join(['"""', *lines, '"""'])
    if isinstance(value, tuple):
        items = "".join(f"\n    {_literal(item)}," for item in value)
        return f"[{items}\n]" if items else "[]"
    if isinstance(value, Mapping):
        inner = ", ".join(f"{key} = {item!r}" for key, item in value.items())
        return f"{{ {inner} }}"
    return repr(value)
