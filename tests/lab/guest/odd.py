#!/usr/bin/python3
"""A client that is not as it should be, against a real server: odd.py CLIENT-ADDRESS SERVER WHAT [SECONDS].

WHAT is `bounce` (LCP with an option that is refused, asked for again and again), `deaf` (sends one frame and answers
none), `leave` (says no more after the server has introduced itself), `mirror` (sends every frame back as it came) or `mute`
(LCP opens, and the challenge is never answered).

RFC 2637 for messages and GRE, RFC 1661 for LCP. The guest's Python is the minimal one.
"""

import select
import socket
import struct
import sys
import time

COOKIE = 0x1A2B3C4D
CALL = 0x2B1D
LCP = 0xC021


def control(kind, body):
    return struct.pack("!HHIHH", 12 + len(body), 1, COOKIE, kind, 0) + body


def start():
    # Section 2.1: version, two bytes, framing, bearer, channels, revision, host, vendor.
    return control(1, struct.pack("!HHIIHH", 0x0100, 0, 1, 1, 0, 1) + b"odd".ljust(64, b"\0") + b"odd".ljust(64, b"\0"))


def call():
    # Section 2.7: call id, serial number, speeds, bearer, framing, window, delay, number, subaddress.
    return control(7, struct.pack("!HHIIIIHHHH", CALL, 1, 2400, 10000000, 3, 3, 64, 0, 0, 0) + bytes(128))


def receive(tcp):
    head = b""
    while len(head) < 12:
        more = tcp.recv(12 - len(head))
        if not more:
            sys.exit("the server closes the connection")
        head += more
    length, _, _, kind, _ = struct.unpack("!HHIHH", head)
    body = b""
    while len(body) < length - 12:
        body += tcp.recv(length - 12 - len(body))
    return kind, body


class Tunnel:
    """GRE of the call, enhanced as in section 4.1."""

    def __init__(self, client, server, peer_call):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, 47)
        self.socket.bind((client, 0))
        self.server, self.peer_call, self.sequence = server, peer_call, 0

    def send(self, frame):
        head = struct.pack("!HHHHI", 0x3001, 0x880B, len(frame), self.peer_call, self.sequence)
        self.sequence += 1
        self.socket.sendto(head + frame, (self.server, 0))

    def frames(self, seconds):
        """PPP frames of the server until the time is over: protocol, and what follows it."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return
            packet = self.socket.recv(65536)
            packet = packet[(packet[0] & 15) * 4 :]
            flags, _, length, key = struct.unpack("!HHHH", packet[:8])
            if key != CALL or not flags & 0x1000:
                continue
            frame = packet[12 + (4 if flags & 0x80 else 0) :][:length]
            if frame[:2] == b"\xff\x03":
                frame = frame[2:]
            if len(frame) > 2:
                yield struct.unpack("!H", frame[:2])[0], frame[2:]


def ppp(protocol, code, number, data):
    return b"\xff\x03" + struct.pack("!HBBH", protocol, code, number, 4 + len(data)) + data


def bounce(tunnel, seconds):
    # Callback (type 13, RFC 1570): pppd has none to give.
    ask = lambda number: tunnel.send(ppp(LCP, 1, number, b"\x0d\x03\x00"))
    ask(1)
    number = 1
    for protocol, rest in tunnel.frames(seconds):
        if protocol == LCP and rest[0] == 1:
            tunnel.send(ppp(LCP, 2, rest[1], rest[4:]))
        elif protocol == LCP and rest[0] in (3, 4):
            number += 1
            if number > 8:
                return
            ask(number)


def deaf(tunnel, seconds):
    # Echo-Request: whoever receives it before LCP is open discards it.
    tunnel.send(ppp(LCP, 9, 1, b"\x01\x02\x03\x04"))
    for _ in tunnel.frames(seconds):
        pass


def mirror(tunnel, seconds):
    for protocol, rest in tunnel.frames(seconds):
        tunnel.send(b"\xff\x03" + struct.pack("!H", protocol) + rest)


def mute(tunnel, seconds):
    tunnel.send(ppp(LCP, 1, 1, b"\x05\x06\x01\x02\x03\x04"))
    for protocol, rest in tunnel.frames(seconds):
        if protocol == LCP and rest[0] == 1:
            tunnel.send(ppp(LCP, 2, rest[1], rest[4:]))


def main():
    client, server, what = sys.argv[1:4]
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 20
    tcp = socket.create_connection((server, 1723), timeout=seconds + 5)
    tcp.sendall(start())
    receive(tcp)
    if what == "leave":
        return
    tunnel = Tunnel(client, server, 0)
    tcp.sendall(call())
    kind, body = receive(tcp)
    while kind != 8:
        kind, body = receive(tcp)
    tunnel.peer_call = struct.unpack("!H", body[:2])[0]
    {"bounce": bounce, "deaf": deaf, "mirror": mirror, "mute": mute}[what](tunnel, seconds)


main()
