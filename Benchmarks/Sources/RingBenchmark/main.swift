// Receive and transmit loops of a driver and a NIC that do nothing but move descriptors: with both on one queue
// ("direct"), or with the virtualizer between them ("virtual"). What differs is the cost of interception
// (paper Table 2); instructions-per-frame.sh counts it.

import Glibc

let arguments = CommandLine.arguments
guard arguments.count == 4, let frames = UInt64(arguments[3]), frames % UInt64(batch) == 0,
  ["receive", "transmit"].contains(arguments[1]), ["direct", "virtual"].contains(arguments[2])
else {
  print("usage: RingBenchmark receive|transmit direct|virtual FRAMES (a multiple of \(batch))")
  exit(64)
}

let isVirtual = arguments[2] == "virtual"
let moved =
  arguments[1] == "receive"
  ? receive(frames: frames, isVirtual: isVirtual) : transmit(frames: frames, isVirtual: isVirtual)
print("\(arguments[1]) \(arguments[2]): \(moved) frames")
exit(moved == frames ? 0 : 1)
