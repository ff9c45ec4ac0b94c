#!/usr/bin/env python3
"""Write a capture of a flood to standard output.

    make-flood.py datagrams|syn|half-open COUNT [SEED]

datagrams: COUNT flows of one datagram each. syn: COUNT connections of which nothing but the SYN comes. half-open: COUNT connections
that are opened, send a segment beyond a gap that never closes, and fall silent. Endpoints are all different; frames are a microsecond
apart. Ethernet, IPv4, checksums right.
"""
import struct
import sys


def fold(total):
    total = (total & 0xFFFF) + (total >> 16)
    return (total & 0xFFFF) + (total >> 16)


def words(data):
    return sum(struct.unpack(">%dH" % (len(data) // 2), data))


LINK = b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0"
FILLER = b"half-open stream " * 58 + b"!!"


class Flood:
    def __init__(self, out):
        self.out, self.time = out, 1_700_000_000_000_000
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))

    def frame(self, source, destination, protocol, transport, place):
        """Writes a frame; the checksum of the transport header is put in at `place`."""
        addresses = struct.pack(">II", source, destination)
        padded = transport + b"\0" * (len(transport) & 1)
        total = words(padded) + words(addresses) + protocol + len(transport)
        transport = transport[:place] + struct.pack(">H", ~fold(total) & 0xFFFF or 0xFFFF) + transport[place + 2:]
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(transport), 1, 0x4000, 64, protocol, 0) + addresses
        header = header[:10] + struct.pack(">H", ~fold(words(header)) & 0xFFFF) + header[12:]
        self.time += 1
        data = LINK + header + transport
        self.out.write(struct.pack("<IIII", self.time // 1_000_000, self.time % 1_000_000, len(data), len(data)) + data)

    def segment(self, source, destination, ports, sequence, acknowledgement, flags, data=b""):
        header = struct.pack(">HHIIBBHHH", *ports, sequence, acknowledgement, 0x50, flags, 65535, 0, 0)
        self.frame(source, destination, 6, header + data, 16)


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("datagrams", "syn", "half-open") or not sys.argv[2].isdigit():
        sys.exit(__doc__)
    kind, count = sys.argv[1], int(sys.argv[2])
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    flood = Flood(sys.stdout.buffer)
    for number in range(count):
        # Spread over the addresses: a flood that fills buckets of a table in order would be a kind one.
        mixed = (number * 0x9E3779B1 + seed) & 0xFFFFFFFF
        client = 0x0B000000 | (mixed & 0xFFFFFF)
        port = 1024 + (mixed >> 24) + 256 * (number >> 24 & 0x7F)
        server = 0x0A000001
        if kind == "datagrams":
            flood.frame(client, server, 17, struct.pack(">HHHH", port, 53, 12, 0) + b"data", 6)
            continue
        flood.segment(client, server, (port, 80), 1000, 0, 0x02)
        if kind == "half-open":
            flood.segment(server, client, (80, port), 5000, 1001, 0x12)
            flood.segment(client, server, (port, 80), 1001, 5001, 0x10)
            flood.segment(client, server, (port, 80), 2001, 5001, 0x18, FILLER)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(1)
