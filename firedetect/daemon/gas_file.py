"""The gas calibration file: a new baseline never loses the one before."""

from collections.abc import Mapping
from pathlib import Path

from firedetect.config import GasBaseline, load_gas_baseline, save_gas_baseline
from firedetect.storage.slots import Disk


def keep_baseline(
    path: Path, baseline: GasBaseline, taken: Mapping[str, float | str] | None = None
) -> GasBaseline:
    """Write the baseline with what is known of CO: that belongs to the film, not to the air.

    What the file held stays beside it as `<name>.before`. Raises ConfigError or OSError.
    """
    if path.exists():
        known = load_gas_baseline(path)
        baseline = baseline.model_copy(update={"co_a": known.co_a, "co_beta": known.co_beta})
        disk, new = Disk(), path.with_name(f".{path.name}.before.new")
        disk.write(new, path.read_bytes())
        disk.replace(new, path.with_name(f"{path.name}.before"))
    save_gas_baseline(path, baseline, taken)
    return baseline
