"""The mask of places that may be hot: proposed from what the detector saw, approved by a person."""

from pathlib import Path

from firedetect.clock import Clock
from firedetect.commissioning.files import Value, keep
from firedetect.commissioning.mask import MaskProposal
from firedetect.config import HotMask, Settings, load_mask
from firedetect.daemon.calibration.when import now_text
from firedetect.daemon.hot_places import load_hot_places
from firedetect.errors import FiredetectError


def propose_mask(settings: Settings) -> MaskProposal:
    """Return a mask of what was hot on several days; raises FiredetectError with the reason."""
    if settings.lepton.enabled:
        raise FiredetectError("the array is a Lepton: hot places are learnt of an MLX90640 only")
    path = mask_path(settings)
    present = load_mask(path) if path.exists() else None
    found = load_hot_places(settings.device.data_dir).proposal(present)
    if isinstance(found, str):
        raise FiredetectError(f"no mask: {found}")
    return found


def mask_path(settings: Settings) -> Path:
    """Return the file that a mask is written to."""
    return settings.thermal.mask or settings.device.data_dir / "mask.toml"


def write_mask(path: Path, proposal: MaskProposal, clock: Clock | None = None) -> HotMask:
    """Write an approved mask; raises ConfigError."""
    approved = now_text(clock)
    mask = HotMask.model_validate(
        {"approved": approved, "rows": proposal.rows, "limits_c": proposal.limits_c}
    )
    values: dict[str, Value] = {"approved": approved, "rows": mask.rows, "limits_c": mask.limits_c}
    keep(path, {"mask": values})
    return mask
