"""firedetect-learning-agent: hourly, asks for a training when there is reason to, never does one.

The order is an object in the data bucket and a message to the operators; a model reaches a detector
only as a signed bundle in a job.
"""

import json
import os
from datetime import datetime
from functools import cache
from typing import Any, Final

from firedetect.lambdas.devices import Devices
from firedetect.lambdas.learning import wanted
from firedetect.lambdas.now import Now, iso, utc_now
from firedetect.lambdas.rows import client, every_row
from firedetect.lambdas.settings import LearningSettings

FLEET: Final = "-fleet-"
"""No thing can have this name: it begins with a hyphen."""
KIND: Final = "learning"
FOLDER: Final = "learning"


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - AWS's shape
    """Ask for a training if there is reason to; raises what AWS refuses."""
    return _agent().run()


class LearningAgent:
    """The handler with what it uses."""

    def __init__(
        self,
        settings: LearningSettings,
        dynamodb: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        s3: Any,  # noqa: ANN401
        sns: Any,  # noqa: ANN401
        now: Now = utc_now,
    ) -> None:
        self._settings = settings
        self._dynamodb = dynamodb
        self._devices = Devices(dynamodb, settings.devices_table)
        self._s3 = s3
        self._sns = sns
        self._now = now

    def run(self) -> dict[str, object]:
        """Look for reasons; ask once for them."""
        now = self._now()
        before = self._devices.kept(FLEET, KIND)
        request = wanted(
            every_row(self._dynamodb, self._settings.devices_table),
            every_row(self._dynamodb, self._settings.incidents_table),
            _time(before.get("asked_at")),
            now,
        )
        if request is None:
            return {"asked": False}
        order = json.dumps(request.as_record(now), indent=1)
        # The order first: a message without one would send somebody looking for nothing.
        key = f"{FOLDER}/{now:%Y-%m-%dT%H-%M-%S}.json"
        self._s3.put_object(Bucket=self._settings.data_bucket, Key=key, Body=order.encode())
        self._sns.publish(
            TopicArn=self._settings.operators_topic_arn,
            Subject="A training is asked for",
            Message=f"{request.why}.\nThe order is {key} in the data bucket:\n{order}",
        )
        row: dict[str, object] = {"thing": FLEET, "kind": KIND}
        self._devices.keep(before, row | {"asked_at": iso(now), "order": key})
        return {"asked": True, "order": key}


def _time(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


@cache
def _agent() -> LearningAgent:
    """Return the one of this execution environment: clients are made once."""
    settings = LearningSettings.read(os.environ)
    return LearningAgent(settings, client("dynamodb"), client("s3"), client("sns"))
