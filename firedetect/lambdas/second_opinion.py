"""What a second model in the cloud says of an alarm: for people who look at incidents, later.

Asked after people were told, the row was written and the receipt sent; its answer goes into the row
and nowhere else. Without an endpoint, without features, late or wrong: then there is none.
"""

import json
import logging
from typing import Any, Final

from botocore.config import Config

from firedetect.contract.messages import DetectorMessage
from firedetect.contract.opinion import combined
from firedetect.lambdas import metrics
from firedetect.lambdas.facts import Opinion
from firedetect.lambdas.incident import Incident
from firedetect.lambdas.incidents import Incidents

SHORT: Final = Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1})
"""The function has other alarms to tell of."""

_log = logging.getLogger(__name__)


class SecondOpinion:
    """Asks an endpoint; an empty name is none."""

    def __init__(
        self,
        runtime: Any,  # noqa: ANN401 - boto3 makes its clients at run time
        endpoint: str,
        incidents: Incidents,
    ) -> None:
        self._runtime = runtime
        self._endpoint = endpoint
        self._incidents = incidents

    def note(self, message: DetectorMessage) -> None:
        """Put what the endpoint says of an alarm into its incident; never raises.

        A failure is logged and counted: whoever looks after the tier sees it.
        """
        incident_id, edge = message.incident_id, message.score
        if not self._endpoint or not message.features:
            return
        if incident_id is None or edge is None:
            return
        try:
            opinion = self._asked(message, edge)
            self._incidents.change(incident_id, lambda row: _with(row, opinion))
        except Exception as error:  # noqa: BLE001 - an opinion is worth no alarm, and no retry
            _log.warning("no second opinion on %s: %s", message.event_id, error)
            metrics.count("SecondOpinionFailed")
        else:
            metrics.count("SecondOpinion")

    def _asked(self, message: DetectorMessage, edge: float) -> Opinion:
        answer = self._runtime.invoke_endpoint(
            EndpointName=self._endpoint,
            ContentType="application/json",
            Accept="application/json",
            Body=json.dumps({"features": message.features}),
        )
        said = json.loads(answer["Body"].read())
        score = said["score"]
        cloud = None if score is None else float(score)
        # Raises for what is no score: combined with the edge's it would look like one.
        return Opinion(
            event_id=message.event_id,
            model=str(said["model"]),
            edge=edge,
            cloud=cloud,
            combined=combined(edge, cloud),
        )


def _with(before: Incident, opinion: Opinion) -> Incident:
    """Return the incident with an opinion; the one on the highest combined score stays."""
    known = before.opinion
    if known is not None and known.combined >= opinion.combined:
        return before
    return before.model_copy(update={"opinion": opinion, "revision": before.revision + 1})
