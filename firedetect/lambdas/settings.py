"""What the functions find in their environment, read once and refused whole."""

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from firedetect.contract.problems import problem_of
from firedetect.errors import ConfigError


class FunctionSettings(BaseModel):
    """What every function does with its environment."""

    # The environment has many other variables: those are not ours to judge.
    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """Return the settings; raises ConfigError naming the variable."""
        try:
            return cls.model_validate(dict(environment))
        except ValidationError as error:
            raise ConfigError(f"environment: {problem_of(error)}") from error


class PeopleSettings(FunctionSettings):
    """Where people listen; without an event bus no other services do."""

    people_topic_arn: str = Field(alias="PEOPLE_TOPIC_ARN", pattern=r"^arn:aws[\w-]*:sns:")
    event_bus: str = Field("", alias="EVENT_BUS")


class SupervisorSettings(PeopleSettings):
    """Also the table of devices."""

    devices_table: str = Field(alias="DEVICES_TABLE", min_length=3)


class ResponseSettings(PeopleSettings):
    """Also the table of incidents, and what links are made with: without both there are none."""

    incidents_table: str = Field(alias="INCIDENTS_TABLE", min_length=3)
    sign_key: str = Field("", alias="SIGN_KEY")
    acknowledge_url: str = Field("", alias="ACKNOWLEDGE_URL", pattern=r"^(https?://\S+)?$")


class EscalateSettings(ResponseSettings, SupervisorSettings):
    """Also what was done already, and the state machine: without one nobody is called again."""

    idempotency_table: str = Field(alias="IDEMPOTENCY_TABLE", min_length=3)
    escalation_arn: str = Field("", alias="ESCALATION_ARN", pattern=r"^(arn:aws[\w-]*:states:.+)?$")
    second_opinion_endpoint: str = Field("", alias="SECOND_OPINION_ENDPOINT", max_length=63)
    """Without one nobody is asked."""


class AcknowledgeSettings(PeopleSettings):
    """Also incidents, what was done already, what links are signed with, the bucket of pictures."""

    incidents_table: str = Field(alias="INCIDENTS_TABLE", min_length=3)
    idempotency_table: str = Field(alias="IDEMPOTENCY_TABLE", min_length=3)
    sign_key: str = Field(alias="SIGN_KEY", min_length=3)
    data_bucket: str = Field("", alias="DATA_BUCKET")


class LakeSettings(FunctionSettings):
    """The tables, and where reports are kept."""

    devices_table: str = Field(alias="DEVICES_TABLE", min_length=3)
    incidents_table: str = Field(alias="INCIDENTS_TABLE", min_length=3)
    data_bucket: str = Field(alias="DATA_BUCKET", min_length=3)


class LearningSettings(LakeSettings):
    """Also where the operators listen."""

    operators_topic_arn: str = Field(alias="OPERATORS_TOPIC_ARN", pattern=r"^arn:aws[\w-]*:sns:")
