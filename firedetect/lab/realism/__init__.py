"""The generator held against real experiments: every check, and the report of them."""

from pathlib import Path

from firedetect.lab.realism.burners import DOORS, burner_checks
from firedetect.lab.realism.check import Check
from firedetect.lab.realism.dilution import dilution_checks
from firedetect.lab.realism.elements import element_checks
from firedetect.lab.realism.films import film_checks
from firedetect.lab.realism.growth import growth_checks
from firedetect.lab.realism.home import home_checks
from firedetect.lab.realism.origin import origin_checks
from firedetect.lab.realism.pixels import pixel_checks
from firedetect.lab.realism.report import write_realism
from firedetect.lab.realism.sights import sight_checks
from firedetect.lab.realism.standards import standard_checks

__all__ = ["Check", "realism_checks", "realism_report"]


def realism_report(out: Path, *, data: Path | None = None, quick: bool = False) -> list[str]:
    """Write the report of all checks as `out` and its JSON; return the names of those outside.

    `data` holds the folders of real data, by default where the environment says. Raises
    DatasetError if one is missing, SimulationError where the zone model is not installed.
    """
    checks = realism_checks(data, quick=quick)
    write_realism(out, checks)
    return [check.name for check in checks if not check.inside]


def realism_checks(data: Path | None = None, *, quick: bool = False) -> list[Check]:
    """Return all checks, in the order of their groups; quick ones have fewer draws."""
    draws = 20 if quick else 60
    return [
        *origin_checks(draws),
        *growth_checks(data),
        *standard_checks(6 if quick else 52),
        *pixel_checks(),
        *film_checks(data, 80 if quick else 250),
        *element_checks(draws),
        *home_checks(data, draws),
        *burner_checks(data, doors=("open",) if quick else DOORS),
        *sight_checks(),
        *dilution_checks(draws),
    ]
