"""Checks of what judges: the model bundle, and the compiled kernels in their cache."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import firedetect.model.explain
import firedetect.pipeline
import firedetect.sensors.decode  # noqa: F401 - with it every kernel of the detector is loaded
from firedetect.doctor.finding import Finding
from firedetect.doctor.host import Host
from firedetect.errors import BundleError
from firedetect.model.bundle import load_bundle

_WARM = "type  firedetect warmup  as the user of the detector"


@dataclass(frozen=True, slots=True)
class Kernel:
    """A compiled function: the folder of its cache, None without one, its index file there."""

    name: str
    folder: Path | None
    index: str

    @property
    def is_compiled(self) -> bool:
        """Whether the cache has it; a source that changed within its lines is overlooked."""
        return self.folder is not None and next(self.folder.glob(self.index), None) is not None


def examine_model(path: Path) -> Finding:
    """Tell which model judges, or why it cannot be used."""
    try:
        bundle = load_bundle(path)
    except BundleError as error:
        return Finding("model", "fail", str(error), "install another bundle; hard rules work alone")
    return Finding("model", "ok", f"{bundle.manifest.name} {bundle.manifest.version}")


def examine_kernels(host: Host, kernels: Callable[[], tuple[Kernel, ...]]) -> Finding:
    """Tell whether the kernels are compiled, and can be kept so."""
    found = kernels()
    if not found:
        return Finding("kernels", "warn", "numba is switched off: too slow to detect in time")
    homeless = [kernel for kernel in found if kernel.folder is None]
    if homeless:
        return Finding(
            "kernels",
            "warn",
            "there is no place for their cache: they are compiled at every start, for a minute",
            "set NUMBA_CACHE_DIR to a folder that can be written, with 32 MB free",
        )
    missing = [kernel.name for kernel in found if not kernel.is_compiled]
    folders = sorted({str(kernel.folder) for kernel in found})
    closed = [folder for folder in folders if not host.may(Path(folder), os.W_OK)]
    if missing and closed:
        return Finding(
            "kernels",
            "warn",
            f"{len(missing)} of {len(found)} are not compiled, and {closed[0]} cannot be written",
            "set NUMBA_CACHE_DIR to a folder that can be written, then firedetect warmup",
        )
    if missing:
        return Finding(
            "kernels",
            "warn",
            f"{len(missing)} of {len(found)} are not compiled, such as {missing[0]}: the next "
            "start takes up to a minute and a half",
            _WARM,
        )
    return Finding("kernels", "ok", f"{len(found)} compiled")


def loaded_kernels() -> tuple[Kernel, ...]:
    """Return the kernels of the detector; those of simulated rooms are not among them."""
    return tuple(
        _kernel(value)
        for name, module in sorted(sys.modules.items())
        if name.startswith("firedetect.") and not name.startswith("firedetect.simulation")
        for value in vars(module).values()
        if hasattr(value, "py_func") and value.py_func.__module__ == name
    )


def _kernel(dispatcher: Any) -> Kernel:  # noqa: ANN401 - numba has no types
    function = dispatcher.py_func
    folder = dispatcher.stats.cache_path
    code = function.__code__
    python = f"py{sys.version_info.major}{sys.version_info.minor}"
    index = f"{Path(code.co_filename).stem}.{function.__qualname__}-{code.co_firstlineno}.{python}"
    return Kernel(function.__name__, Path(folder) if folder else None, f"{index}*.nbi")
