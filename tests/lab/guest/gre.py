#!/usr/bin/python3
"""Sends packets made by hand: gre.py DESTINATION COUNT HEX, gre.py --packets DESTINATION HEX...,
gre.py --call EVENTS STATE COUNT HEX, or gre.py --ip SOURCE DESTINATION PROTOCOL FRAGMENT COUNT HEX.

HEX is what follows the IPv4 header, byte for byte. With --call it is a PPP frame instead, and the
packets go into the one call that the agent's EVENTS tell of, as the client would send them: with the
server's call id and the sequence numbers that come next. STATE keeps the last one between runs. With
--ip the IPv4 header is made by hand too: FRAGMENT is its field of flags and fragment offset, and the
identification differs from packet to packet; so does the source port of TCP. Checksums of ICMP and TCP
are filled in.

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


def checksum(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send_ip(source, destination, protocol, fragment, count, payload):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    if protocol == socket.IPPROTO_ICMP:
        payload = payload[:2] + struct.pack("!H", checksum(payload[:2] + b"\0\0" + payload[4:])) + payload[4:]
    ends = socket.inet_aton(source) + socket.inet_aton(destination)
    for number in range(count):
        # The kernel fills in length and checksum.
        header = struct.pack("!BBHHHBBH", 0x45, 0, 0, (0x4200 + number) & 0xFFFF, fragment, 64, protocol, 0) + ends
        if protocol == socket.IPPROTO_TCP:
            payload = tcp(payload, ends, 1024 + number)
        raw.sendto(header + payload, (destination, 0))


def tcp(segment, ends, port):
    """The segment from another port; no payload of odd length."""
    segment = struct.pack("!H", port) + segment[2:16] + b"\0\0" + segment[18:]
    pseudo = ends + struct.pack("!HH", socket.IPPROTO_TCP, len(segment))
    return segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]


def call(events):
    """Server, its call id and the client's highest sequence number, by the last gre.stats."""
    with open(events) as lines:
        last = [line for line in lines if '"event":"gre.stats"' in line][-1]
    pattern = r'"from_client":{[^}]*"highest_sequence":(\d+).*"server":"([^"]+)".*"server_call_id":(\d+)'
    sequence, server, call_id = re.search(pattern, last).groups()
    return server, int(call_id), int(sequence)


def main():
    if sys.argv[1] == "--packets":
        return send(sys.argv[2], [bytes.fromhex(packet) for packet in sys.argv[3:]])
    if sys.argv[1] == "--ip":
        source, destination, protocol, fragment, count, payload = sys.argv[2:]
        return send_ip(source, destination, int(protocol), int(fragment, 0), int(count), bytes.fromhex(payload))
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
