"""What is looked at daily, weekly and monthly: each part asks the account and answers in lines."""

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from deploy import names
from deploy.session import ClientOf, brief
from firedetect.lambdas.analysis import report
from firedetect.lambdas.calls import duration
from firedetect.lambdas.incident import Incident
from firedetect.lambdas.now import Now, in_ms, utc_now
from firedetect.lambdas.response import since_ms, taken_over_ms
from firedetect.lambdas.rows import every_row
from firedetect.lambdas.supervisor import SILENT_AFTER_S

QUEUES: Final = (names.RULE_ERRORS, names.FUNCTION_ERRORS)
VAULT: Final = "firedetect"
BACKUP_EVERY: Final = timedelta(days=2)
CERTIFICATE_LEFT: Final = timedelta(days=30)
_MONTH: Final = timedelta(days=30)
_WEEK: Final = timedelta(days=7)
_PROJECT: Final = {"Tags": {"Key": "project", "Values": ["firedetect"]}}

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a report; `look` says that somebody has something to do."""

    title: str
    lines: tuple[str, ...]
    look: bool = False

    def as_record(self) -> dict[str, Any]:
        """Return it as a JSON line says it."""
        return {"part": self.title, "look": self.look, "lines": list(self.lines)}


class Reports:
    """Reads the account's tables, queues, alarms and backups."""

    def __init__(self, client_of: ClientOf, now: Now = utc_now) -> None:
        self._client_of = client_of
        self._now = now

    def daily(self) -> Iterator[Part]:
        """Detectors, incidents and failures that wait for somebody, alarms, backups."""
        yield self._part("silent detectors", self._silent)
        yield self._part("open incidents", self._open)
        yield self._part("failures that wait", self._waiting)
        yield self._part("alarms of the tier", self._alarms)
        yield self._part("backups", self._backups)

    def weekly(self) -> Iterator[Part]:
        """Labels, drift, findings, certificates, cost."""
        yield self._part("false alarms", self._false_alarms)
        yield self._part("drift and findings", self._drift)
        yield self._part("certificates", self._certificates)
        yield self._part("cost this month", self._cost)

    def monthly(self) -> Iterator[Part]:
        """Incidents of 30 days, how fast people were, the restore drill."""
        yield self._part("incidents of 30 days", self._incidents)
        yield self._part("time to acknowledge", self._times)
        yield self._part("restore drill", self._drill)

    def _part(self, title: str, ask: Callable[[], Part]) -> Part:
        try:
            return ask()
        except (BotoCoreError, ClientError) as error:
            # One service that does not answer must not hide what the others say.
            return Part(title, (f"not known: {brief(error)}",), look=True)

    def _rows(self, table: str) -> list[Row]:
        return list(every_row(self._client_of("dynamodb"), table))

    def _silent(self) -> Part:
        rows = self._rows(names.DEVICES)
        now_ms = in_ms(self._now())
        beats = {row["thing"]: int(row["received_ms"]) for row in rows if row["kind"] == "beat"}
        marked = {
            row["thing"] for row in rows if row["kind"] == "silence" and row["state"] == "silent"
        }
        late = {thing for thing, ms in beats.items() if now_ms - ms > SILENT_AFTER_S * 1000}
        lines = [
            f"{thing}: {_ago(now_ms - beats[thing])}" if thing in beats else f"{thing}: never beat"
            for thing in sorted(marked | late)
        ]
        found = tuple(lines) or (f"none of {len(beats)}",)
        return Part("silent detectors", found, look=bool(lines))

    def _open(self) -> Part:
        now_ms = in_ms(self._now())
        lines = []
        for row in sorted(self._rows(names.INCIDENTS), key=lambda one: str(one["opened_at"])):
            one = Incident.model_validate(row)
            if one.closed_at:
                continue
            taken = one.taken_over
            who = f"taken over by {taken.source} {taken.by}" if taken else "NOT ACKNOWLEDGED"
            where = one.site or "a site without name"
            since = _ago(now_ms - since_ms(one))
            level = f"{one.level} (now {one.current})"
            lines.append(f"{one.incident_id}: {level} at {where}, {since}, {who.strip()}")
        return Part("open incidents", tuple(lines) or ("none",), look=bool(lines))

    def _waiting(self) -> Part:
        depths = {queue: waiting(self._client_of("sqs"), queue) for queue in QUEUES}
        lines = tuple(f"{queue}: {depth}" for queue, depth in depths.items())
        redrive = ("go through them: python -m deploy.operations redrive",)
        look = any(depths.values())
        return Part("failures that wait", lines + redrive * look, look=look)

    def _alarms(self) -> Part:
        pages = self._client_of("cloudwatch").get_paginator("describe_alarms")
        asked = pages.paginate(AlarmNamePrefix="firedetect-", StateValue="ALARM")
        lines = tuple(
            f"{one['AlarmName']}: {one.get('AlarmDescription', '')}"
            for page in asked
            for one in page["MetricAlarms"]
            if one["StateValue"] == "ALARM"
        )
        return Part("alarms of the tier", lines or ("none",), look=bool(lines))

    def _backups(self) -> Part:
        now = self._now()
        pages = self._client_of("backup").get_paginator("list_recovery_points_by_backup_vault")
        made = [
            point["CreationDate"]
            for page in pages.paginate(BackupVaultName=VAULT)
            for point in page["RecoveryPoints"]
            if point["Status"] == "COMPLETED"
        ]
        if not made:
            return Part("backups", (f"none in the vault {VAULT}",), look=True)
        newest = max(made)
        line = f"the newest of {len(made)} is from {newest.isoformat(timespec='minutes')}"
        return Part("backups", (line,), look=now - newest > BACKUP_EVERY)

    def _false_alarms(self) -> Part:
        since = (self._now() - _WEEK).isoformat()
        rows = self._rows(names.INCIDENTS)
        labelled = [one for one in rows if str(one.get("labelled_at", "")) > since]
        lines = [
            f"{one['incident_id']}: {one['label']}, {one['site'] or 'a site without name'}, "
            f"{', '.join(one['reasons'])}"
            for one in sorted(labelled, key=lambda one: str(one["labelled_at"]))
        ]
        unlabelled = sum(bool(one.get("closed_at")) and not one.get("label") for one in rows)
        lines.append(f"{unlabelled} closed incidents without a label")
        return Part("false alarms", tuple(lines), look=bool(unlabelled))

    def _drift(self) -> Part:
        found = report(self._rows(names.DEVICES), self._rows(names.INCIDENTS), self._now())
        lines = []
        for thing, one in found["by_detector"].items():
            if one["drift"] is not None:
                lines.append(f"{thing}: score drifts by {one['drift']:+.3f}")
            lines += [f"{thing}: {words}" for words in (*one["findings"], *one["patterns"])]
        return Part("drift and findings", tuple(lines) or ("none",), look=bool(lines))

    def _certificates(self) -> Part:
        iot, limit = self._client_of("iot"), self._now() + CERTIFICATE_LEFT
        known, lines = 0, []
        for page in iot.get_paginator("list_certificates").paginate():
            for one in page["certificates"]:
                told = iot.describe_certificate(certificateId=one["certificateId"])
                until = told["certificateDescription"]["validity"]["notAfter"]
                known += 1
                if one["status"] == "ACTIVE" and until < limit:
                    lines.append(f"{one['certificateId'][:12]}: ends {until:%Y-%m-%d}")
        return Part(
            "certificates", tuple(lines) or (f"none of {known} ends soon",), look=bool(lines)
        )

    def _cost(self) -> Part:
        now = self._now()
        end = now + timedelta(days=1)
        answer = self._client_of("ce", "us-east-1").get_cost_and_usage(
            TimePeriod={"Start": f"{now:%Y-%m-01}", "End": f"{end:%Y-%m-%d}"},
            Granularity="MONTHLY",
            Metrics=["UnblendedCost"],
            Filter=_PROJECT,
        )
        paid = sum(
            float(one["Total"]["UnblendedCost"]["Amount"])
            for one in answer["ResultsByTime"]
            if one.get("Total")
        )
        return Part("cost this month", (f"{paid:.2f} USD by the tag project=firedetect",))

    def _month(self) -> list[Incident]:
        since = (self._now() - _MONTH).isoformat()
        rows = self._rows(names.INCIDENTS)
        return [Incident.model_validate(one) for one in rows if str(one["opened_at"]) > since]

    def _incidents(self) -> Part:
        counts = Counter(
            (one.site or "a site without name", one.level, one.drill) for one in self._month()
        )
        lines = tuple(
            f"{site}: {count} {level}{' (drill)' * drill}"
            for (site, level, drill), count in sorted(counts.items())
        )
        return Part("incidents of 30 days", lines or ("none",))

    def _times(self) -> Part:
        declared = [one for one in self._month() if one.declared and not one.drill]
        took = [max(0, taken_over_ms(one) - since_ms(one)) for one in declared if one.taken_over]
        never = len(declared) - len(took)
        if not took:
            words = f"nobody acknowledged any of {never}" if never else "nothing to acknowledge"
            return Part("time to acknowledge", (words,), look=never > 0)
        line = (
            f"p50 {duration(quantile(took, 50))}, p90 {duration(quantile(took, 90))} of {len(took)}"
        )
        return Part("time to acknowledge", (line, f"never acknowledged: {never}"), look=never > 0)

    def _drill(self) -> Part:
        pages = self._client_of("backup").get_paginator("list_restore_jobs")
        done = [
            job["CompletionDate"]
            for page in pages.paginate(ByStatus="COMPLETED")
            for job in page["RestoreJobs"]
        ]
        if done and self._now() - max(done) < _MONTH:
            return Part("restore drill", (f"done on {max(done):%Y-%m-%d}",))
        when = f"the last one was on {max(done):%Y-%m-%d}" if done else "there was none yet"
        return Part("restore drill", (f"due: {when}; deploy/README.md, Recovery",), look=True)


def waiting(sqs: Any, queue: str) -> int:  # noqa: ANN401 - boto3 makes its clients at run time
    """Return how many messages lie in a queue, those that somebody holds included."""
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    asked = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=asked)["Attributes"]
    return sum(int(told[name]) for name in asked)


def quantile(values: list[int], percent: int) -> int:
    """Return the percentile of some values, of one value itself."""
    if len(values) == 1:
        return values[0]
    return round(statistics.quantiles(values, n=100, method="inclusive")[percent - 1])


def _ago(ms: int) -> str:
    return f"for {duration(ms)}"
