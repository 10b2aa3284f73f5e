"""firedetect-analysis-agent: every 10 min a report of the fleet, kept by day in the data bucket."""

import json
import os
from functools import cache
from typing import Any, Final

from firedetect.lambdas.analysis import report
from firedetect.lambdas.now import Now, utc_now
from firedetect.lambdas.rows import client, every_row
from firedetect.lambdas.settings import LakeSettings

FOLDER: Final = "reports"


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - AWS's shape
    """Write the report of now; raises what AWS refuses."""
    return _agent().run()


class AnalysisAgent:
    """The handler with what it uses."""

    def __init__(
        self,
        settings: LakeSettings,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        s3: Any,  # noqa: ANN401
        now: Now = utc_now,
    ) -> None:
        self._settings = settings
        self._dynamodb = dynamodb
        self._s3 = s3
        self._now = now

    def run(self) -> dict[str, object]:
        """Report, and keep it as the newest and as that of the day."""
        now = self._now()
        found = report(
            every_row(self._dynamodb, self._settings.devices_table),
            every_row(self._dynamodb, self._settings.incidents_table),
            now,
        )
        body = json.dumps(found, sort_keys=True).encode()
        for key in (f"{FOLDER}/{now:%Y-%m-%d}.json", f"{FOLDER}/newest.json"):
            self._s3.put_object(Bucket=self._settings.data_bucket, Key=key, Body=body)
        return {"detectors": found["detectors"], "drifting": found["drifting"]}


@cache
def _agent() -> AnalysisAgent:
    """Return the one of this execution environment: clients are made once."""
    settings = LakeSettings.read(os.environ)
    return AnalysisAgent(settings, client("dynamodb"), client("s3"))
