"""What the container runs: `python -m firedetect.endpoint serve`, as SageMaker calls it."""

import os
import sys
from pathlib import Path

from firedetect.endpoint.app import PORT, serve
from firedetect.errors import FiredetectError


def main() -> None:
    """Serve the bundle in $FIREDETECT_BUNDLE, signed by one of $FIREDETECT_TRUSTED_KEYS."""
    bundle, trusted = (
        Path(found) if (found := os.environ.get(name)) else None
        for name in ("FIREDETECT_BUNDLE", "FIREDETECT_TRUSTED_KEYS")
    )
    try:
        serve(bundle, trusted, port=int(os.environ.get("SAGEMAKER_BIND_TO_PORT", PORT)))
    except FiredetectError as error:
        sys.exit(f"firedetect: {error}")


if __name__ == "__main__":
    main()
