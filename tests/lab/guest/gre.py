#!/usr/bin/python3
"""Sends GRE packets made by hand: gre.py DESTINATION COUNT HEX, or gre.py --call EVENTS STATE COUNT HEX.

HEX is what follows the IPv4 header, byte for byte. With --call it is a PPP frame instead, and the
packets go into the one call that the agent's EVENTS tell of, as the client would send them: with the
server's call id and the sequence numbers that come next. STATE keeps the last one between runs.

The guest's Python is the minimal one: no json module.
"""

import errno
import os
import re
import socket
import struct
import sys
import time


def send(destination, packets):
    gre = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
    for packet in packets:
        while True:
            try:
                gre.sendto(packet, (destination, 0))
                break
            except OSError as error:
                # Not sent: a queue on this side is full.
                if error.errno != errno.ENOBUFS:
                    raise
                time.sleep(0.01)


def call(events):
    """Server, its call id and the client's highest sequence number, by the last gre.stats."""
    with open(events) as lines:
        last = [line for line in lines if '"event":"gre.stats"' in line][-1]
    pattern = r'"from_client":{[^}]*"highest_sequence":(\d+).*"server":"([^"]+)".*"server_call_id":(\d+)'
    sequence, server, call_id = re.search(pattern, last).groups()
    return server, int(call_id), int(sequence)


def main():
    if sys.argv[1] != "--call":
        destination, count, packet = sys.argv[1:]
        return send(destination, [bytes.fromhex(packet)] * int(count))
    events, state, count, frame = sys.argv[2:]
    server, call_id, highest = call(events)
    if os.path.exists(state):
        with open(state) as number:
            highest = max(highest, int(number.read()))
    frame = bytes.fromhex(frame)
    packets = []
    for _ in range(int(count)):
        highest += 1
        # RFC 2637, section 4.1: key and sequence number, version 1, PPP.
        packets.append(struct.pack("!HHHHI", 0x3001, 0x880B, len(frame), call_id, highest) + frame)
    send(server, packets)
    with open(state, "w") as number:
        number.write(str(highest))


main()
