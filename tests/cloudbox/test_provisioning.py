"""Fleet provisioning and Device Defender against AWS's published words; each case names its page.

Pages of docs.aws.amazon.com/iot/latest/developerguide, read in awsdocs/aws-iot-docs. Their error
answers have a statusCode, an errorCode and an errorMessage, but no list of values. Published is the
hook's ACCESS_DENIED alone; InvalidCertificateOwnershipToken with 400 was seen from AWS in
aws/aws-iot-device-sdk-js-v2 issue 69. Every other status and code is our choice.
"""

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from firedetect.clock import ManualClock
from firedetect.cloudbox.authority import Authority, signing_request
from firedetect.cloudbox.database import open_database
from firedetect.cloudbox.defender import Defender
from firedetect.cloudbox.provisioning import Provisioning

API = "fleet-provision-api"
HOOK = "pre-provisioning-hook"
CREATE = "$aws/certificates/create/json"
CSR = "$aws/certificates/create-from-csr/json"
OURS = "not published, our choice"
SEEN = "aws/aws-iot-device-sdk-js-v2 issue 69"
PROVISION = "$aws/provisioning-templates/firedetect/provision/json"


class Desk:
    """The service with its clock, its grants and a hook to be set."""

    def __init__(self, folder):
        self.clock = ManualClock()
        self.database = open_database(None)
        self.authority = Authority(folder, self.clock)
        self.granted = {}
        self.hook_says = None
        self.hook_heard = []
        self.service = Provisioning(
            self.database, self.authority, self.clock, self.grant, hook=self.hook
        )

    async def grant(self, grants):
        self.granted = dict(grants)

    async def hook(self, question):
        self.hook_heard.append(question)
        if isinstance(self.hook_says, Exception):
            raise self.hook_says
        return self.hook_says or {"allowProvisioning": True}

    async def ask(self, topic, request):
        payload = request if isinstance(request, bytes) else json.dumps(request).encode()
        (reply,) = await self.service.answer(topic, payload)
        return reply.topic.removeprefix(f"{topic}/"), reply.body

    async def certificate(self):
        key = ec.generate_private_key(ec.SECP256R1())
        return await self.ask(CSR, {"certificateSigningRequest": signing_request(key)})

    async def register(self, **more):
        token = (await self.certificate())[1]["certificateOwnershipToken"]
        request = {"certificateOwnershipToken": token, "parameters": {"ThingName": "thing-7"}}
        return await self.ask(PROVISION, request | more)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path / "ca")
    yield made
    made.database.close()


def refused(status, code):
    def check(word, body):
        assert word == "rejected", body
        assert set(body) == {"statusCode", "errorCode", "errorMessage"}
        assert (body["statusCode"], body["errorCode"]) == (status, code)

    return check


def certificate(*, with_key):
    def check(word, body):
        assert word == "accepted", body
        names = {"certificateOwnershipToken", "certificateId", "certificatePem"}
        assert set(body) == names | ({"privateKey"} if with_key else set())
        x509.load_pem_x509_certificate(body["certificatePem"].encode())

    return check


def registered(word, body):
    assert word == "accepted", body
    assert body == {"thingName": "thing-7", "deviceConfiguration": {"site": ""}}


async def with_old_token(desk):
    body = (await desk.certificate())[1]
    desk.clock.advance(3601)
    token = body["certificateOwnershipToken"]
    return await desk.ask(
        PROVISION, {"certificateOwnershipToken": token, "parameters": {"ThingName": "t"}}
    )


async def with_used_token(desk):
    token = (await desk.certificate())[1]["certificateOwnershipToken"]
    request = {"certificateOwnershipToken": token, "parameters": {"ThingName": "thing-7"}}
    await desk.ask(PROVISION, request)
    return await desk.ask(PROVISION, request)


async def with_hook(desk, says, **more):
    desk.hook_says = says
    return await desk.register(**more)


CASES = [
    (API, "CreateCertificateFromCsr returns token, id and certificate",
     lambda desk: desk.certificate(), certificate(with_key=False)),
    (API, "CreateKeysAndCertificate returns the key too",
     lambda desk: desk.ask(CREATE, {}), certificate(with_key=True)),
    (OURS, "a request that is no signing request",
     lambda desk: desk.ask(CSR, {"certificateSigningRequest": "nonsense"}),
     refused(400, "InvalidCertificateSigningRequest")),
    (OURS, "no signing request at all", lambda desk: desk.ask(CSR, {}),
     refused(400, "InvalidCertificateSigningRequest")),
    (API, "RegisterThing answers with the thing's name and configuration",
     lambda desk: desk.register(), registered),
    (SEEN, "an ownership token that nobody was given",
     lambda desk: desk.register(certificateOwnershipToken="guess"),
     refused(400, "InvalidCertificateOwnershipToken")),
    (SEEN, "no ownership token", lambda desk: desk.register(certificateOwnershipToken=None),
     refused(400, "InvalidCertificateOwnershipToken")),
    (API, "the ownership token expires after one hour", with_old_token,
     refused(400, "InvalidCertificateOwnershipToken")),
    (OURS, "a used token registers nothing else", with_used_token,
     refused(400, "InvalidCertificateOwnershipToken")),
    (OURS, "a parameter that the template needs", lambda desk: desk.register(parameters={}),
     refused(400, "InvalidParameter")),
    (OURS, "a parameter that the template does not know",
     lambda desk: desk.register(parameters={"ThingName": "a", "Owner": "me"}),
     refused(400, "InvalidParameter")),
    (OURS, "parameters are strings",
     lambda desk: desk.register(parameters={"ThingName": 7}), refused(400, "InvalidParameter")),
    (OURS, "a payload that is no JSON", lambda desk: desk.ask(PROVISION, b"\xa1"),
     refused(400, "InvalidPayload")),
    (OURS, "the payload format cbor, which the box does not have",
     lambda desk: desk.ask(CSR.replace("json", "cbor"), b"\xa0"),
     refused(415, "UnsupportedPayloadFormat")),
    (HOOK, "allowProvisioning true lets the device in",
     lambda desk: with_hook(desk, {"allowProvisioning": True}), registered),
    (HOOK, "without allowProvisioning it fails with ACCESS_DENIED",
     lambda desk: with_hook(desk, {"allowProvisioning": False}), refused(403, "ACCESS_DENIED")),
    (OURS, "allowProvisioning must be true: the page has it with and without quotes",
     lambda desk: with_hook(desk, {"allowProvisioning": "true"}), refused(403, "ACCESS_DENIED")),
    (HOOK, "if the function fails the request fails with ACCESS_DENIED",
     lambda desk: with_hook(desk, RuntimeError("broken")), refused(403, "ACCESS_DENIED")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("ask", "check"), [case[2:] for case in CASES], ids=[f"{c[0]}: {c[1]}" for c in CASES]
)
async def test_as_published(desk, ask, check):
    check(*await ask(desk))


def test_there_are_enough_published_cases():
    assert sum(case[0] != OURS for case in CASES) >= 8


async def test_rights_come_with_the_registration_and_only_then(desk):
    body = (await desk.certificate())[1]
    assert desk.granted == {}
    request = {
        "certificateOwnershipToken": body["certificateOwnershipToken"],
        "parameters": {"ThingName": "thing-7", "Site": "cellar"},
    }
    said = (await desk.ask(PROVISION, request))[1]
    assert said["deviceConfiguration"] == {"site": "cellar"}
    assert desk.granted == {body["certificateId"]: "thing-7"}
    name = x509.load_pem_x509_certificate(body["certificatePem"].encode()).subject
    assert name.rfc4514_string() == f"CN={body['certificateId']}"


async def test_a_hook_may_override_parameters_and_hears_what_aws_would_tell_it(desk):
    overrides = {"ThingName": "thing-7", "Site": "attic"}
    said = await with_hook(desk, {"allowProvisioning": True, "parameterOverrides": overrides})
    assert said[1]["deviceConfiguration"] == {"site": "attic"}
    assert set(desk.hook_heard[0]) == {
        "claimCertificateId", "certificateId", "certificatePem", "templateArn", "clientId",
        "parameters",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["cloud", "claim", "operator-1", "a/b", "+", "", "x" * 65])
async def test_no_thing_takes_a_name_of_the_box_or_a_pattern(desk, name):
    word, _ = await desk.register(parameters={"ThingName": name})
    assert word == "rejected"
    assert desk.granted == {}


async def test_the_database_keeps_no_token(desk):
    token = (await desk.certificate())[1]["certificateOwnershipToken"]
    rows = desk.database.execute("SELECT * FROM certificate").fetchall()
    assert token not in str(rows)


METRICS = "$aws/things/thing-1/defender/metrics/json"
REPORT = {
    "header": {"report_id": 1530304554, "version": "1.0"},
    "metrics": {
        "listening_tcp_ports": {"ports": [{"interface": "eth0", "port": 24800}], "total": 1},
        "listening_udp_ports": {"ports": [], "total": 0},
        "network_stats": {"bytes_in": 29358693495, "bytes_out": 26485035, "packets_in": 1,
                          "packets_out": 2},
        "tcp_connections": {"established_connections": {
            "connections": [{"local_interface": "eth0", "local_port": 80,
                             "remote_addr": "192.168.0.1:8000"}], "total": 1}},
    },
    "custom_metrics": {"temperature": [{"number": 23.5}]},
}  # fmt: skip


async def report(defender, request):
    payload = request if isinstance(request, bytes) else json.dumps(request).encode()
    (reply,) = await defender.answer(METRICS, payload)
    return reply.topic.removeprefix(f"{METRICS}/"), reply.body


async def test_a_report_of_the_documented_shape_is_accepted():
    word, body = await report(Defender(ManualClock()), REPORT)
    assert word == "accepted"
    assert (body["thingName"], body["reportId"], body["status"]) == (
        "thing-1", 1530304554, "ACCEPTED",
    )  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        b"{",
        {},
        {"header": {"report_id": "x", "version": "1.0"}, "metrics": {}},
        {"header": {"report_id": 1, "version": "1"}, "metrics": {}},
        REPORT | {"metrics": {"network_stats": {"bytes_in": -1}}},
        REPORT | {"metrics": {"listening_tcp_ports": {"ports": [{"port": 70_000}]}}},
    ],
)
async def test_a_report_of_another_shape_is_rejected_with_its_place(wrong):
    word, body = await report(Defender(ManualClock()), wrong)
    assert word == "rejected"
    assert body["statusDetails"]["ErrorCode"] == "InvalidPayload"
    assert body["statusDetails"]["ErrorMessage"]


async def test_one_report_in_five_minutes():
    clock = ManualClock()
    defender = Defender(clock)
    assert (await report(defender, REPORT))[0] == "accepted"
    clock.advance(60)
    assert (await report(defender, REPORT))[1]["statusDetails"]["ErrorCode"] == "Throttled"
    clock.advance(240)
    assert (await report(defender, REPORT))[0] == "accepted"
