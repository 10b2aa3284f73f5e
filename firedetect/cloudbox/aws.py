"""SNS, SQS, DynamoDB and S3 of the box: moto's server with the tier's resources in it."""

import logging
import os
import socket
import threading
import urllib.request
from collections.abc import Callable
from typing import Any, Final

import boto3
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from firedetect.cloudbox import moto_parts
from firedetect.cloudbox.broker import HOST
from firedetect.cloudbox.deployed import Deployed, deploy
from firedetect.cloudbox.moto_parts import Invoke
from firedetect.cloudbox.tier import Tier
from firedetect.cloudbox.wire import JsonObject, encoded
from firedetect.contract.names import PEOPLE_TOPIC
from firedetect.errors import BoxError

PEOPLE_QUEUE: Final = "people"
"""Subscribed to the topic for people: whoever reads it plays them."""
_START_LIMIT_S: Final = 10.0
_STOP_LIMIT_S: Final = 5.0
_BACKLOG: Final = 128
_ANYBODY: Final = "box"
_CLIENT: Final = Config(
    connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 3, "mode": "standard"}
)


_log = structlog.get_logger()


class Aws:
    """The server and its clients; `start` blocks for some seconds.

    What is in it is gone with the process. `invoke` runs a function, `function_url` is where the
    web reaches one; state machines wait `scale` times as long as they say.
    """

    def __init__(
        self,
        tier: Tier,
        invoke: Invoke,
        function_url: Callable[[str], str],
        scale: float = 1.0,
    ) -> None:
        self._tier = tier
        self._invoke = invoke
        self.function_url = function_url
        self._scale = scale
        self.deployed: Deployed | None = None
        self._server: Any = None
        self._thread: threading.Thread | None = None
        # Taken now and kept: a port that is only looked up may be another's when it is needed.
        self._socket = socket.create_server((HOST, 0), backlog=_BACKLOG)
        self._port: int = self._socket.getsockname()[1]
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._life = threading.Lock()
        self._stopped = False

    @property
    def endpoint(self) -> str:
        """Address for every service that moto has; known before it runs."""
        return f"http://{HOST}:{self._port}"

    def start(self) -> None:
        """Start the server and make the tier's resources; call it in a thread."""
        with self._life:
            if not self._stopped:
                self._start()

    def stop(self) -> None:
        """Stop the server and close the clients; a start under way is waited for."""
        self._stopped = True
        with self._life:
            self._stop()

    def client(self, service: str) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
        """Return the one client for a service."""
        with self._lock:
            if service not in self._clients:
                if self._server is None:
                    raise BoxError("the box's AWS does not run")
                self._clients[service] = boto3.client(
                    service,
                    endpoint_url=self.endpoint,
                    region_name=self._tier.region,
                    aws_access_key_id=_ANYBODY,
                    aws_secret_access_key=_ANYBODY,
                    config=_CLIENT,
                )
            return self._clients[service]

    def queue_url(self, queue: str) -> str:
        """Return the address of a queue of the tier."""
        return f"{self.endpoint}/{self._tier.account}/{queue}"

    def environment(self, iot_endpoint: str) -> dict[str, str]:
        """Return what makes any boto3 client use this AWS and the box's IoT."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ENDPOINT_URL_IOT": iot_endpoint,
            "AWS_ENDPOINT_URL_IOT_DATA_PLANE": iot_endpoint,
            "AWS_ENDPOINT_URL_IOT_JOBS_DATA_PLANE": iot_endpoint,
            "AWS_DEFAULT_REGION": self._tier.region,
            "AWS_REGION": self._tier.region,
            "AWS_ACCESS_KEY_ID": _ANYBODY,
            "AWS_SECRET_ACCESS_KEY": _ANYBODY,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            # Where state machines find functions.
            "MOTO_PORT": str(self._port),
            # Standard output is for what people are told, and nobody reads metrics here.
            "POWERTOOLS_METRICS_DISABLED": "true",
            # A proxy for the way out is none for this computer.
            "NO_PROXY": HOST,
            "no_proxy": HOST,
        }

    def put_object(self, key: str, body: bytes) -> None:
        """Store an object in the tier's bucket."""
        self.client("s3").put_object(Bucket=self._tier.bucket, Key=key, Body=body)

    def presigned(self, key: str, *, to_put: bool, valid_s: int = 3600) -> str:
        """Return an address with which anybody may get or put one object for a while."""
        operation = "put_object" if to_put else "get_object"
        address: str = self.client("s3").generate_presigned_url(
            operation, Params={"Bucket": self._tier.bucket, "Key": key}, ExpiresIn=valid_s
        )
        return address

    def _start(self) -> None:
        # Its import takes longer than all the rest: not in the loop's thread.
        from moto.moto_server.werkzeug_app import (  # noqa: PLC0415
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server  # noqa: PLC0415

        # One line per request would drown what the box has to say.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._server = make_server(
            HOST,
            self._port,
            DomainDispatcherApplication(create_backend_app),
            threaded=True,
            request_handler=MotoRequestHandler,
            fd=self._socket.fileno(),
        )
        self._thread = threading.Thread(target=self._server.serve_forever, name="moto", daemon=True)
        self._thread.start()
        # Another box may have run in this process: moto keeps its data by process.
        address = f"{self.endpoint}/moto-api/reset"
        reset = urllib.request.Request(address, method="POST")  # noqa: S310 - our own server
        with urllib.request.urlopen(reset, timeout=_START_LIMIT_S):  # noqa: S310 - our own server
            self.deployed = self._make()

    def _end_executions(self) -> None:
        """Stop what state machines still do: their threads would outlive this server."""
        states = self.client("stepfunctions")
        try:
            for machine in states.list_state_machines()["stateMachines"]:
                running = states.list_executions(
                    stateMachineArn=machine["stateMachineArn"], statusFilter="RUNNING"
                )
                for one in running["executions"]:
                    states.stop_execution(executionArn=one["executionArn"])
        except (BotoCoreError, ClientError) as error:
            _log.warning("executions are not stopped", error=str(error))

    def _stop(self) -> None:
        if self._server is not None and self.deployed is not None:
            self._end_executions()
        with self._lock:
            for client in self._clients.values():
                client.close()
            self._clients.clear()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join(_STOP_LIMIT_S)
            self._server.server_close()
            self._server = None
        self._socket.close()

    def _not_sent(self, queue: str, record: JsonObject) -> None:
        """Keep what a service did not take, where failures wait."""
        url = self.queue_url(queue.rsplit(":", 1)[-1])
        self.client("sqs").send_message(QueueUrl=url, MessageBody=encoded(record).decode())

    def _make(self) -> Deployed:
        moto_parts.extend_types(self.client, self.function_url)
        moto_parts.run_functions(self._invoke)
        moto_parts.scale_waits(self._scale)
        moto_parts.send_to_destinations(self._not_sent)
        deployed = deploy(self._tier, self.client)
        sqs, sns = self.client("sqs"), self.client("sns")
        sqs.create_queue(QueueName=PEOPLE_QUEUE)
        queue_arn = f"arn:aws:sqs:{self._tier.region}:{self._tier.account}:{PEOPLE_QUEUE}"
        sns.subscribe(
            TopicArn=self._tier.topic_arn(PEOPLE_TOPIC), Protocol="sqs", Endpoint=queue_arn
        )
        return deployed
