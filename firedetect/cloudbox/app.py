"""`firedetect box`: runs a box until somebody ends it, and says what people were told."""

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path

import structlog

from firedetect.cloudbox.box import Box, Options
from firedetect.cloudbox.people import Told
from firedetect.cloudbox.tier import load_tier


def run_box(
    folder: Path,
    *,
    port: int = 0,
    as_json: bool = False,
    with_parent: bool = False,
) -> None:
    """Run until Ctrl-C or SIGTERM; `with_parent` also until standard input closes."""
    # Standard output is for what people are told.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(_run(folder, Options(port=port), as_json=as_json, with_parent=with_parent))


async def _run(folder: Path, options: Options, *, as_json: bool, with_parent: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        _end_with_input(loop, stop)
    async with Box(folder, load_tier(), lambda told: _say(told, as_json=as_json), options) as box:
        ready = asyncio.create_task(box.ready(), name="box:ready")
        told = asyncio.create_task(stop.wait(), name="box:stop")
        broken = asyncio.create_task(box.ended(), name="box:ended")
        try:
            await asyncio.wait({ready, told}, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                _welcome(box, as_json=as_json)
                await asyncio.wait({told, broken}, return_when=asyncio.FIRST_COMPLETED)
            if broken.done() and not told.done():
                broken.result()
        finally:
            for task in (ready, told, broken):
                task.cancel()
            await asyncio.wait({ready, told, broken})


def _end_with_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    def read() -> None:
        # Past the buffer of sys.stdin, whose lock would stop the interpreter's own end.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=read, name="parent", daemon=True).start()


def _welcome(box: Box, *, as_json: bool) -> None:
    said = box.description()
    if as_json:
        print(json.dumps({"ready": said}), flush=True)
        return
    operator = said["operator"]
    print(
        f"cloud in a box: MQTT on {said['endpoint']}:{said['port']}, AWS on "
        f"{said['aws_endpoint']}; all about it in {box.folder / 'box.json'}\n"
        f"{len(said['stacks'])} stacks of deploy/templates are created; recorded only: "
        f"{', '.join(said['recorded_only'])}\n"
        "hear every detector:\n"
        f"  mosquitto_sub -V 5 -h localhost -p {said['port']} --cafile {said['ca']} "
        f"--cert {operator['certificate']} --key {operator['key']} -v -t 'firedetect/#'\n"
        "what people are told is printed here; Ctrl-C ends the box",
        flush=True,
    )


def _say(told: Told, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(told.as_record()), flush=True)
        return
    text = told.text.replace("\n", "\n    ")
    print(f"people were told: {told.subject}\n    {text}", flush=True)
