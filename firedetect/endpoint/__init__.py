"""The container behind the SageMaker endpoint: a second opinion on feature rows."""
