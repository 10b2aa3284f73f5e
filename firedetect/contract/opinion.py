"""How the edge's score and a second opinion from the cloud become one: never less than the edge's.

The edge decides alone whether there is an alarm. What the cloud adds is for people and for the
order in which they look at incidents: it can only raise.
"""

import math


def combined(edge: float, cloud: float | None) -> float:
    """Return the score of both (0 to 1): the mean if the cloud's is higher, else the edge's.

    Without an answer of the cloud, or with one that is no number, it is the edge's.
    """
    if cloud is None or math.isnan(cloud) or cloud <= edge:
        return edge
    return (edge + cloud) / 2.0
