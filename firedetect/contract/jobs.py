"""The four remote jobs as documents of AWS IoT Jobs."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from firedetect.contract.problems import Problem, problem_of

BUNDLE_ARCHIVE_MAX_BYTES = 16 << 20


class _Job(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    v: Literal[1] = 1


Address = Annotated[str, Field(pattern=r"^https?://", max_length=4096)]


class InstallModel(_Job):
    """Install a signed model bundle: a zip archive of the bundle's files, at `url`.

    With `rollback` an older version is taken, too, but only one that this detector has still: the
    bundle before, or the one that came along.
    """

    op: Literal["install-model"] = "install-model"
    version: Annotated[str, Field(max_length=64)]
    url: Address
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(gt=0, le=BUNDLE_ARCHIVE_MAX_BYTES)]
    rollback: bool = False


class Calibrate(_Job):
    """Take the clean-air baseline of the gas board."""

    op: Literal["calibrate"] = "calibrate"
    what: Literal["gas"] = "gas"
    duration_s: Annotated[int, Field(ge=30, le=600)] = 60


class CollectRecording(_Job):
    """Send a recording, raw frames included, by one PUT to `upload_url`."""

    op: Literal["collect-recording"] = "collect-recording"
    duration_s: Annotated[int, Field(ge=1, le=600)] = 60
    upload_url: Address


class Drill(_Job):
    """Sound the outputs as a drill."""

    op: Literal["drill"] = "drill"
    duration_s: Annotated[int, Field(ge=1, le=3600)] = 60


JobDocument = InstallModel | Calibrate | CollectRecording | Drill
_JOB: TypeAdapter[JobDocument] = TypeAdapter(Annotated[JobDocument, Field(discriminator="op")])


def job_document(document: dict[str, Any]) -> JobDocument | Problem:
    """Return the job that `document` asks for, or its first problem."""
    try:
        return _JOB.validate_python(document)
    except ValidationError as error:
        return problem_of(error)
