"""firedetect-provisioning-hook: who may take which name, asked before every registration.

A name that no thing has is free. One that is taken is given only to who speaks as it already: the
policies bind each client id of a thing to its certificate, and a claim may use none of them.
"""

import logging
from functools import cache
from typing import Any

from firedetect.contract.clients import own_client_ids, valid_thing
from firedetect.lambdas.rows import QUICK, client

_log = logging.getLogger(__name__)


def handler(event: object, context: object) -> dict[str, object]:  # noqa: ARG001 - AWS's shape
    """Return whether the registration may go on; what is not understood may not."""
    return {"allowProvisioning": allowed(event, _iot())}


def allowed(event: object, iot: Any) -> bool:  # noqa: ANN401 - boto3 makes its clients at run time
    """Whether who asks may have the name; raises what AWS says against looking it up."""
    asked = event if isinstance(event, dict) else {}
    parameters = asked.get("parameters")
    name = parameters.get("ThingName") if isinstance(parameters, dict) else None
    if not isinstance(name, str) or not valid_thing(name):
        _log.warning("refused: no name of a thing")
        return False
    if asked.get("clientId") in own_client_ids(name):
        return True
    try:
        iot.describe_thing(thingName=name)
    except iot.exceptions.ResourceNotFoundException:
        return True
    _log.warning("refused: %s is taken", name)
    return False


@cache
def _iot() -> Any:  # noqa: ANN401 - boto3
    return client("iot", QUICK)
