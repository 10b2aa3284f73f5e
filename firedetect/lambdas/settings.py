"""What the functions find in their environment, read once and refused whole."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firedetect.contract.problems import problem_of
from firedetect.errors import ConfigError


class SupervisorSettings(BaseModel):
    """The table of devices, and where people listen."""

    # The environment has many other variables: those are not ours to judge.
    model_config = ConfigDict(extra="ignore", frozen=True)

    devices_table: str = Field(alias="DEVICES_TABLE", min_length=3)
    people_topic_arn: str = Field(alias="PEOPLE_TOPIC_ARN", pattern=r"^arn:aws[\w-]*:sns:")

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings; raises ConfigError naming the variable."""
        try:
            return cls.model_validate(dict(environment))
        except ValidationError as error:
            raise ConfigError(f"environment: {problem_of(error)}") from error


class EscalateSettings(SupervisorSettings):
    """Also the tables of incidents and of what was done already."""

    incidents_table: str = Field(alias="INCIDENTS_TABLE", min_length=3)
    idempotency_table: str = Field(alias="IDEMPOTENCY_TABLE", min_length=3)
