"""Shadow and jobs services in memory, with AWS's semantics, and a link whose state is set."""

import asyncio
import copy

from firedetect.cloudbox.shadow import Refused, Shadow, delete, update
from firedetect.errors import JobRefusedError, LinkDownError, ShadowRefusedError
from firedetect.uplink.jobs_client import Job
from firedetect.uplink.shadow_client import ShadowDocument, _stamps

FIRST_S = 1_800_000_000


class MemoryLink:
    """The part of `Link` that shadows and jobs use."""

    def __init__(self, *, up=True):
        self.connected = asyncio.Event()
        self.on_change = []
        self.refusals = {}
        self.silences = []
        if up:
            self.connected.set()

    def go(self, up):
        if up:
            self.connected.set()
        else:
            self.connected.clear()
        for call in list(self.on_change):
            call()

    def refused(self, topic, detail):
        self.refusals[topic] = detail

    def unanswered(self, what, detail):
        self.silences.append((what, detail))

    def accepted(self, topic):
        self.refusals.pop(topic, None)


class MemoryShadows:
    """Implements Shadows. `fault` returns an error to raise for a request, or None."""

    def __init__(self, link=None):
        self.link = link
        self.shadows = {}
        self.watchers = {}
        self.requests = []
        self.now_s = FIRST_S
        self.fault = lambda _what, _name: None

    async def get(self, name):
        await self._asked("get", name)
        shadow = self.shadows.get(name, Shadow())
        if shadow.deleted:
            return ShadowDocument()
        return ShadowDocument(
            version=shadow.version,
            desired=copy.deepcopy(shadow.state.get("desired")),
            reported=copy.deepcopy(shadow.state.get("reported", {})),
            desired_s=max(_stamps(shadow.metadata.get("desired")), default=0),
        )

    async def report(self, name, reported):
        await self._asked("report", name)
        self._update(name, {"reported": reported})

    def watch(self, name, hear):
        self.watchers.setdefault(name, []).append(hear)

    def desire(self, name, desired, *, later_s=1):
        """Merge into `desired` as an operator does, `later_s` after the write before."""
        self.now_s += later_s
        self._update(name, {"desired": desired})

    def delete(self, name, *, forgotten=False):
        self.shadows[name] = delete(self.shadows[name], name, self.now_s)
        if forgotten:
            self.now_s += 49 * 3600

    def force(self, name, desired, version):
        """Hold a state that no operator's request leads to."""
        state = {**self.shadows.get(name, Shadow()).state, "desired": desired}
        stamps = {"desired": {"x": {"timestamp": self.now_s}}}
        self.shadows[name] = Shadow(version, self.now_s, state, stamps, deleted=False)
        self._delta(name)

    def reported(self, name):
        return self.shadows.get(name, Shadow()).state.get("reported", {})

    def count(self, what):
        return sum(1 for asked, _ in self.requests if asked == what)

    async def _asked(self, what, name):
        self.requests.append((what, name))
        await asyncio.sleep(0.01)
        if self.link is not None and not self.link.connected.is_set():
            raise LinkDownError("down")
        error = self.fault(what, name)
        if error is not None:
            raise error

    def _update(self, name, state):
        done = update(self.shadows.get(name, Shadow()), {"state": state}, self.now_s)
        if isinstance(done, Refused):
            raise ShadowRefusedError(f"shadow {name}: {done.code} {done.message}")
        self.shadows[name] = done.shadow
        if done.delta:
            self._delta(name)

    def _delta(self, name):
        for hear in self.watchers.get(name, ()):
            hear()


class MemoryJobs:
    """Implements Jobs: one queue of executions; `history` holds every accepted update."""

    def __init__(self, link=None):
        self.link = link
        self.waiting = {}
        self.status = {}
        self.history = []
        self.requests = 0
        self.watchers = []
        self.fault = lambda _what, _status: None

    def add(self, job_id, document):
        self.waiting[job_id] = document
        self.status[job_id] = "QUEUED"
        for hear in self.watchers:
            hear()

    def cancel(self, job_id):
        self.status[job_id] = "CANCELED"
        del self.waiting[job_id]

    async def next(self):
        await self._asked("next", "")
        if not self.waiting:
            return None
        job_id, document = next(iter(self.waiting.items()))
        self.status[job_id] = "IN_PROGRESS"
        return Job(job_id, document)

    async def update(self, job, status, details):
        await self._asked("update", status)
        if job.job_id not in self.waiting:
            raise JobRefusedError(f"job {job.job_id}: InvalidStateTransition")
        self.status[job.job_id] = status
        self.history.append((job.job_id, status, details))
        if status != "IN_PROGRESS":
            del self.waiting[job.job_id]

    def watch(self, hear):
        self.watchers.append(hear)

    def ended(self, job_id):
        """Return status and detail of each reported end."""
        ends = [found for found in self.history if found[0] == job_id and "detail" in found[2]]
        return [(status, details["detail"]) for _, status, details in ends]

    def steps(self, job_id):
        found = [details for known, _, details in self.history if known == job_id]
        return [details["step"] for details in found if "step" in details]

    async def _asked(self, what, status):
        self.requests += 1
        await asyncio.sleep(0.01)
        if self.link is not None and not self.link.connected.is_set():
            raise LinkDownError("down")
        error = self.fault(what, status)
        if error is not None:
            raise error
