"""The shim by itself: plain smbus2 in a process of its own meets what the kernel would say."""

import json
import os
import subprocess
import sys

from tests.ioctl.rig import Chips

PROGRAM = """
import errno, fcntl, json, os, sys, threading
from smbus2 import SMBus, i2c_msg

def said(call):
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno]

def words(port, register, count):
    answer = i2c_msg.read(0x33, 2 * count)
    port.i2c_rdwr(i2c_msg.write(0x33, register.to_bytes(2, "big")), answer)
    return bytes(answer).hex()

def many(port, register, seen):
    seen.append({words(port, register, 4) for _ in range(20)})

def tell(**facts):
    print(json.dumps(facts), flush=True)
    sys.stdin.readline()

port, other = SMBus(1), SMBus(1)
seen = []
threads = [threading.Thread(target=many, args=(p, r, seen))
           for p, r in ((port, 0x2400), (port, 0x2410), (other, 0x2420))]
[t.start() for t in threads]
[t.join() for t in threads]
number = other.fd
other.close()
with open(os.devnull) as plain:
    same = plain.fileno() == number
    tell(
        missing_bus=said(lambda: SMBus(9)),
        functions=int(port.funcs),
        eeprom=len(words(port, 0x2400, 832)),
        each_its_own=[len(one) for one in seen],
        all_differ=len(set.union(*seen)),
        absent_chip=said(lambda: port.i2c_rdwr(i2c_msg.read(0x44, 1))),
        nothing=said(lambda: fcntl.ioctl(port.fd, 0x0707, bytearray(16))),
        other_request=said(lambda: fcntl.ioctl(port.fd, 0x5413, bytearray(8))),
        same=same,
        plain_file=said(lambda: fcntl.ioctl(plain.fileno(), 0x0705, bytearray(8))),
    )
tell(pulled=said(lambda: words(port, 0x2400, 1)), opened=said(lambda: SMBus(1)))
port_before = said(lambda: words(port, 0x2400, 1))
port.close()
tell(old=port_before, new=len(words(SMBus(1), 0x2400, 1)))
"""


def test_shim_answers_as_the_kernel_does(shim, tmp_path):
    with (
        Chips(tmp_path) as chips,
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=os.environ | {"LD_PRELOAD": str(shim), "I2C_SHIM_DIR": str(tmp_path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as program,
    ):

        def told():
            return json.loads(program.stdout.readline())

        def go_on():
            print(file=program.stdin, flush=True)

        assert told() == {
            "missing_bus": "ENOENT",
            "functions": 1,
            "eeprom": 2 * 1664,
            "each_its_own": [1, 1, 1],
            "all_differ": 3,
            "absent_chip": "EREMOTEIO",
            "nothing": "EINVAL",
            "other_request": "ENOTTY",
            "same": True,
            "plain_file": "ENOTTY",
        }
        chips("pull")
        go_on()
        assert told() == {"pulled": "ENODEV", "opened": "ENXIO"}
        chips("insert")
        go_on()
        assert told() == {"old": "ENODEV", "new": 4}
        go_on()
        assert program.wait(10) == 0
