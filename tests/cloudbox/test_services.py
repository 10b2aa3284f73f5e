"""Shadow, jobs and provisioning over a real broker, asked by Amazon's own clients."""

import asyncio
import json

from awscrt import mqtt_request_response
from awsiot import V2ServiceException, iotidentity, iotjobs, iotshadow
from cryptography.hazmat.primitives.asymmetric import ec

from firedetect.cloudbox.authority import Credentials, private_pem, signing_request
from firedetect.cloudbox.desk import publish_all
from tests.fakes.box import client, running_broker, running_services, until

THING = "thing-1"
OPTIONS = mqtt_request_response.ClientOptions(
    max_request_response_subscriptions=12,
    max_streaming_subscriptions=4,
    operation_timeout_in_seconds=5,
)


async def done(future):
    return await asyncio.wait_for(asyncio.wrap_future(future), 10)


async def refusal(future):
    try:
        await done(future)
    except V2ServiceException as error:
        return error.modeled_error
    raise AssertionError("was not refused")


async def test_amazons_shadow_client(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        running_services(broker),
        client(broker, THING) as (thing, heard),
    ):
        await thing.subscribe([f"$aws/things/{THING}/shadow/name/config/update/delta"])
        shadow = iotshadow.IotShadowClientV2(thing._client, OPTIONS)
        name = {"thing_name": THING, "shadow_name": "config"}
        missing = await refusal(shadow.get_named_shadow(iotshadow.GetNamedShadowRequest(**name)))
        assert missing.code == 404
        state = iotshadow.ShadowState(desired={"a": {"b": 1}}, reported={"a": {"b": 0}})
        first = await done(
            shadow.update_named_shadow(
                iotshadow.UpdateNamedShadowRequest(**name, state=state, version=0)
            )
        )
        assert (first.version, first.state.desired) == (1, {"a": {"b": 1}})
        conflict = await refusal(
            shadow.update_named_shadow(
                iotshadow.UpdateNamedShadowRequest(**name, state=state, version=9)
            )
        )
        assert (conflict.code, conflict.message) == (409, "Version conflict")
        got = await done(shadow.get_named_shadow(iotshadow.GetNamedShadowRequest(**name)))
        assert got.state.delta == {"a": {"b": 1}}
        await until(lambda: heard.on("delta"), "the delta")
        assert heard.on("delta")[0]["state"] == {"a": {"b": 1}}
        gone = await done(shadow.delete_named_shadow(iotshadow.DeleteNamedShadowRequest(**name)))
        assert gone.version == 1


async def test_amazons_jobs_client(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        running_services(broker) as services,
        client(broker, THING) as (thing, heard),
    ):
        await thing.subscribe([f"$aws/things/{THING}/jobs/notify-next"])
        jobs = iotjobs.IotJobsClientV2(thing._client, OPTIONS)
        await publish_all(
            services.connection, services.jobs.create([THING], "j1", {"op": "drill", "v": 1})
        )
        await until(lambda: heard.on("notify-next"), "the notice of the job")
        started = await done(
            jobs.start_next_pending_job_execution(
                iotjobs.StartNextPendingJobExecutionRequest(thing_name=THING)
            )
        )
        assert started.execution.job_document == {"op": "drill", "v": 1}
        update = {"thing_name": THING, "job_id": "j1", "status": "SUCCEEDED"}
        wrong = await refusal(
            jobs.update_job_execution(
                iotjobs.UpdateJobExecutionRequest(**update, expected_version=7)
            )
        )
        assert wrong.code == "VersionMismatch"
        await done(
            jobs.update_job_execution(
                iotjobs.UpdateJobExecutionRequest(
                    **update, expected_version=2, status_details={"took": "1 s"}
                )
            )
        )
        pending = await done(
            jobs.get_pending_job_executions(
                iotjobs.GetPendingJobExecutionsRequest(thing_name=THING)
            )
        )
        assert (pending.in_progress_jobs, pending.queued_jobs) == ([], [])
        assert services.jobs.describe(THING, "j1")["statusDetails"] == {"took": "1 s"}


async def test_amazons_identity_client_and_the_certificate_connects(tmp_path):
    key = ec.generate_private_key(ec.SECP256R1())
    async with running_broker(tmp_path) as broker, running_services(broker):
        async with client(broker, "claim") as (claim, _):
            identity = iotidentity.IotIdentityClientV2(claim._client, OPTIONS)
            made = await done(
                identity.create_certificate_from_csr(
                    iotidentity.CreateCertificateFromCsrRequest(
                        certificate_signing_request=signing_request(key)
                    )
                )
            )
            files = Credentials(tmp_path / "new.crt", tmp_path / "new.key", broker.authority.ca)
            files.certificate.write_text(made.certificate_pem)
            files.key.write_text(private_pem(key))
            registered = await done(
                identity.register_thing(
                    iotidentity.RegisterThingRequest(
                        template_name="firedetect",
                        certificate_ownership_token=made.certificate_ownership_token,
                        parameters={"ThingName": "thing-7", "Site": "cellar"},
                    )
                )
            )
            assert registered.thing_name == "thing-7"
            assert registered.device_configuration == {"site": "cellar"}
        async with (
            client(broker, "thing-7", certificate=files) as (thing, _),
            client(broker, "watch", certificate=broker.authority.kept("cloud")) as (watch, heard),
        ):
            await watch.subscribe(["firedetect/#"])
            assert await thing.publish("firedetect/thing-7/alert", b"{}") == 0
            await until(lambda: heard, "the new thing's message")


async def test_requests_of_many_things_are_answered_after_a_crash_of_the_broker(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        running_services(broker),
        client(broker, THING) as (thing, heard),
    ):
        await thing.subscribe([f"$aws/things/{THING}/shadow/#"])
        await broker.kill()
        await broker.start()

        async def answered():
            while not heard.on("update/accepted"):
                state = {"state": {"reported": {"a": 1}}}
                await thing.publish(
                    f"$aws/things/{THING}/shadow/update", json.dumps(state).encode()
                )
                await asyncio.sleep(0.05)

        await asyncio.wait_for(answered(), 15)


async def test_a_rejected_request_and_bad_bytes_do_not_stop_the_service(tmp_path):
    async with (
        running_broker(tmp_path) as broker,
        running_services(broker),
        client(broker, THING) as (thing, heard),
    ):
        await thing.subscribe([f"$aws/things/{THING}/#"])
        for payload in (b"\xff", b"[" * 100_000, b"{}", b"x" * 100_000):
            await thing.publish(f"$aws/things/{THING}/shadow/update", payload)
            await thing.publish(f"$aws/things/{THING}/jobs/j1/update", payload)
        await until(lambda: len(heard.on("rejected")) == 8, "eight refusals")
