"""Makes ppp units and lets them go: units.py TOTAL AT_ONCE. Each gets an address, so that the agent
hears of it several times."""

import fcntl
import os
import subprocess
import sys

PPPIOCNEWUNIT = 0xC004743E

total, at_once = int(sys.argv[1]), int(sys.argv[2])
made = 0
while made < total:
    units = []
    commands = []
    for _ in range(min(at_once, total - made)):
        unit = os.open("/dev/ppp", os.O_RDWR)
        number = fcntl.ioctl(unit, PPPIOCNEWUNIT, bytes([255, 255, 255, 255]))
        name = f"ppp{int.from_bytes(number, sys.byteorder)}"
        units.append(unit)
        commands.append(f"addr add 10.77.{made // 250}.{made % 250 + 1} peer 10.78.0.1 dev {name}")
        commands.append(f"link set {name} up")
        made += 1
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands) + "\n", text=True, check=True)
    for unit in units:
        os.close(unit)
