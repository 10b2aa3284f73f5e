"""What rules do with a message: functions, tables, objects, queues, other topics."""

import asyncio
import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any, Final

from boto3.dynamodb.types import TypeSerializer
from botocore.exceptions import BotoCoreError, ClientError

from firedetect.clock import Clock
from firedetect.cloudbox.aws import Aws
from firedetect.cloudbox.functions import Functions
from firedetect.cloudbox.parts import (
    DynamoAction,
    FirehoseAction,
    RepublishAction,
    S3Action,
    SqsAction,
)
from firedetect.cloudbox.rules import Step
from firedetect.cloudbox.rules_values import Occasion
from firedetect.cloudbox.streams import Streams
from firedetect.cloudbox.wire import JsonObject, encoded
from firedetect.errors import BoxError

AT_ONCE: Final = 8
LIMIT_S: Final = 30.0

Publish = Callable[[str, bytes], Any]


class Actions:
    """Does actions on the box's AWS and its functions; every one within a time limit."""

    def __init__(self, aws: Aws, functions: Functions, publish: Publish, clock: Clock) -> None:
        self._aws = aws
        self._streams = Streams(aws.client, clock)
        self._functions = functions
        self._publish = publish
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="rule-action")
        self._turn = asyncio.Semaphore(AT_ONCE)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def perform(self, step: Step, selected: JsonObject, occasion: Occasion) -> None:
        """Do one action; raises BoxError if AWS refuses it."""
        action = step.action
        if action.to_function is not None:
            # A function that fails for good has its own failure queue: the action is done.
            await self._functions.invoke_event(action.to_function.function, selected)
        elif action.dynamoDBv2 is not None:
            await self._in_thread(self._put_item, action.dynamoDBv2, selected)
        elif action.s3 is not None:
            await self._in_thread(self._put_object, action.s3, step.text(occasion), selected)
        elif action.sqs is not None:
            await self._in_thread(self._send, action.sqs, selected)
        elif action.firehose is not None:
            await self._in_thread(self._put_record, action.firehose, selected)
        elif action.republish is not None:
            await self._republish(action.republish, step.text(occasion), selected)

    async def failed(self, queue: str, record: JsonObject) -> None:
        """Send the record of a failed invocation to its queue."""
        await self._in_thread(self._send_to, queue, encoded(record).decode())

    async def _republish(self, _action: RepublishAction, topic: str, selected: JsonObject) -> None:
        await self._publish(topic, encoded(selected))

    async def _in_thread(self, call: Callable[..., None], *args: object) -> None:
        loop = asyncio.get_running_loop()
        try:
            # The limit is for the action, not for those that are before it on a busy machine.
            async with self._turn, asyncio.timeout(LIMIT_S):
                await loop.run_in_executor(self._threads, call, *args)
        except (ClientError, BotoCoreError) as error:
            raise BoxError(str(error)) from error
        except TimeoutError:
            raise BoxError(f"not done within {LIMIT_S:.0f} s") from None

    def _put_item(self, action: DynamoAction, selected: JsonObject) -> None:
        # A table's numbers are decimals; a float would be refused.
        plain = json.loads(encoded(selected), parse_float=Decimal)
        item = {name: TypeSerializer().serialize(value) for name, value in plain.items()}
        self._aws.client("dynamodb").put_item(TableName=action.putItem.tableName, Item=item)

    def _put_object(self, action: S3Action, key: str, selected: JsonObject) -> None:
        self._aws.client("s3").put_object(Bucket=action.bucketName, Key=key, Body=encoded(selected))

    def _put_record(self, action: FirehoseAction, selected: JsonObject) -> None:
        self._streams.put(action.deliveryStreamName, encoded(selected), action.separator.encode())

    def _send(self, action: SqsAction, selected: JsonObject) -> None:
        body = encoded(selected)
        text = base64.b64encode(body).decode() if action.useBase64 else body.decode()
        self._send_to(action.queue, text)

    def _send_to(self, queue: str, text: str) -> None:
        self._aws.client("sqs").send_message(QueueUrl=self._aws.queue_url(queue), MessageBody=text)
