"""What differs between stages; everything else is the same everywhere."""

from dataclasses import dataclass, replace
from typing import Final

NOBODY: Final = "operator@example.com"
"""Stands where nobody has said who the operator is: in the box, in no account of anybody."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One deployment; names of resources are fixed, so each stage has an account of its own.

    `copy_region` is where backups are copied to, the second region. `budget_usd` a month raises an
    alarm by e-mail to the operator (`OPERATOR_EMAIL`) at 80 and 100 %.
    """

    name: str
    log_days: int
    budget_usd: int
    copy_region: str
    keep_data: bool

    def tags(self) -> dict[str, str]:
        """The tags of every resource."""
        return {"project": "firedetect", "stage": self.name}


_PROD: Final = Stage("prod", 90, 100, "eu-west-1", keep_data=True)
STAGES: Final = {
    "prod": _PROD,
    "dev": replace(_PROD, name="dev", log_days=14, budget_usd=20, keep_data=False),
}
"""By name; `make deploy STAGE=prod`."""
