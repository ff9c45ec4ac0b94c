// Receive and transmit loops of a driver and a NIC that do nothing but move descriptors: with both on one queue
// ("direct"), or with the virtualizer between them ("virtual"). What differs is the cost of interception
// (paper Table 2); instructions-per-frame.sh counts it.

import Glibc

let arguments = CommandLine.arguments
guard arguments.count == 5, let frames = UInt64(arguments[4]), frames % UInt64(batch) == 0,
  ["e1000", "e1000e", "igb", "virtio", "rtl8139"].contains(arguments[1]),
  ["receive", "transmit"].contains(arguments[2]),
  ["direct", "virtual"].contains(arguments[3])
else {
  print(
    "usage: RingBenchmark e1000|e1000e|igb|virtio|rtl8139 receive|transmit direct|virtual FRAMES (a multiple of \(batch))"
  )
  exit(64)
}

let isVirtual = arguments[3] == "virtual"

func move<NIC: Family>(_ family: NIC.Type) -> UInt64 {
  arguments[2] == "receive"
    ? receive(family, frames: frames, isVirtual: isVirtual) : transmit(family, frames: frames, isVirtual: isVirtual)
}

let moved =
  switch arguments[1] {
  case "e1000": move(E1000Family.self)
  case "e1000e": move(E1000EFamily.self)
  case "igb": move(IGBFamily.self)
  case "rtl8139":
    arguments[2] == "receive"
      ? receiveBytes(frames: frames, isVirtual: isVirtual) : transmitSlots(frames: frames, isVirtual: isVirtual)
  default: moveVirtqueues(isReceive: arguments[2] == "receive", frames: frames, isVirtual: isVirtual)
  }
print("\(arguments[1]) \(arguments[2]) \(arguments[3]): \(moved) frames")
exit(moved == frames ? 0 : 1)
