#!/usr/bin/env python3
"""Compares what was inspected with what passed the wire: compare-captures.py INSPECTED WIRE [LOST [TAILS]]

Both are pcap files of Ethernet frames. An inspector sees a segment of 64 KiB once that a NIC cuts into many, and checksums
that the NIC has yet to compute. So the TCP segments of each direction of a connection are put together where they continue
each other with the same acknowledgment, window, flags and options, on both sides; every other frame is compared to the last
byte of its packet. Prints what differs; exit status 1 then.

LOST frames that are no TCP segments, 0 if nobody says, may have passed the wire and not been inspected: a guest that starts its
NIC anew throws away what that had received.

With TAILS the NIC was one of QEMU's. So many segments without payload may be on the wire more than were inspected, each right behind
one with the same header: its 82540EM sends one when what it cuts comes out even. And its 82574L forgets the FIN of what it cuts, which
TCP then says again. What is lost may be TCP's too: its 82576 takes what comes while its guest has it down.
"""
import struct
import sys
from collections import defaultdict

FIN, PSH, CWR = 0x01, 0x08, 0x80


def frames(path):
    with open(path, "rb") as file:
        data = file.read()
    if data[:4] not in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1"):
        sys.exit(f"{path}: expected a pcap file")
    place = 24
    while place + 16 <= len(data):
        length, on_wire = struct.unpack_from("<II", data, place + 8)
        if length < on_wire:
            sys.exit(f"{path}: a frame was cut")
        yield data[place + 16 : place + 16 + length]
        place += 16 + length


class Segments:
    """One direction of a connection."""

    def __init__(self):
        self.items = []
        self.tails = 0

    def add(self, sequence, rest, fin, payload, is_qemu):
        if is_qemu:
            fin = 0
        if is_qemu and self.items and not payload:
            last = self.items[-1]
            if last[1] == rest and (last[0] + len(last[3])) & 0xFFFFFFFF == sequence:
                self.tails += 1
                return
        if self.items and payload:
            last = self.items[-1]
            if last[3] and not last[2] and last[1] == rest and (last[0] + len(last[3])) & 0xFFFFFFFF == sequence:
                last[2] = fin
                last[3] += payload
                return
        self.items.append([sequence, rest, fin, bytearray(payload)])


def summary(path, is_qemu):
    """Frames by what they belong to, in their order there, and segments without payload behind others."""
    streams = defaultdict(Segments)
    others = defaultdict(list)
    count = 0
    for frame in frames(path):
        count += 1
        kind = struct.unpack_from(">H", frame, 12)[0]
        if kind == 0x0800:
            length = struct.unpack_from(">H", frame, 16)[0]
            end = 14 + length if length else len(frame)
            if frame[23] == 6 and not struct.unpack_from(">H", frame, 20)[0] & 0x3FFF:
                start = 14 + (frame[14] & 15) * 4
                data = start + (frame[start + 12] >> 4) * 4
                source, target, sequence, acknowledgment = struct.unpack_from(">HHII", frame, start)
                flags = frame[start + 13]
                rest = (acknowledgment, flags & ~(FIN | PSH | CWR), frame[start + 14 : start + 16], frame[start + 20 : data])
                streams[frame[26:34], source, target].add(sequence, rest, flags & FIN, frame[data:end], is_qemu)
                continue
        elif kind == 0x86DD:
            end = 54 + struct.unpack_from(">H", frame, 18)[0]
        elif kind == 0x0806:
            end = 42
        else:
            end = len(frame)
        others[frame[6:12], kind].append(bytes(frame[:end]))
    found = {key: [tuple(map(bytes, (str(item[:3]).encode(), item[3]))) for item in value.items] for key, value in streams.items()}
    found.update(others)
    return count, found, sum(value.tails for value in streams.values())


def is_part(part, whole):
    """Whether all of a list are in another, in their order."""
    rest = iter(whole)
    return all(any(item == other for other in rest) for item in part)


def main():
    if len(sys.argv) not in (3, 4, 5):
        sys.exit(__doc__)
    lost, tails = (int(word) for word in (sys.argv[3:] + ["0", "0"])[:2])
    is_qemu = len(sys.argv) == 5
    inspected_count, inspected, inspected_tails = summary(sys.argv[1], is_qemu)
    wire_count, wire, wire_tails = summary(sys.argv[2], is_qemu)
    if not inspected_count or not wire_count:
        sys.exit("a capture without frames proves nothing")
    differences = 0
    if not inspected_tails <= wire_tails <= inspected_tails + tails:
        differences += 1
        print(f"{inspected_tails} segments without payload behind others inspected, {wire_tails} on the wire")
    for key in sorted(set(inspected) | set(wire), key=repr):
        ours, theirs = inspected.get(key, []), wire.get(key, [])
        if ours == theirs:
            continue
        missing = len(theirs) - len(ours)
        # TCP's keys have a connection's ports.
        if (is_qemu or len(key) == 2) and 0 < missing <= lost and is_part(ours, theirs):
            lost -= missing
            print(f"{key}: {missing} of {len(theirs)} on the wire were not inspected")
            continue
        differences += 1
        place = next((i for i, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), min(len(ours), len(theirs)))
        print(f"{key}: {len(ours)} inspected, {len(theirs)} on the wire; they differ at {place}:")
        for name, side in (("inspected", ours), ("wire", theirs)):
            print(f"  {name}: {repr(side[place])[:200] if place < len(side) else 'nothing'}")
    print(f"{inspected_count} frames inspected, {wire_count} on the wire, {len(wire)} streams: {differences} differ")
    sys.exit(1 if differences else 0)


main()
