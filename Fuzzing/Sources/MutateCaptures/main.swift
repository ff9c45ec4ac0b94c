internal import Foundation

// MutateCaptures SEED MIB FOLDER CAPTURE...
//
// Fills a folder that is there with mutated captures until they have MIB mebibytes. The seed and the captures, in their
// order, alone decide what they are. What is no pcap file is passed over.

func fail(_ message: String) -> Never {
  FileHandle.standardError.write(Data("MutateCaptures: \(message)\n".utf8))
  exit(64)
}

let arguments = CommandLine.arguments
guard arguments.count > 4, let seed = UInt64(arguments[1]), let mebibytes = Int(arguments[2]),
  (1...100_000).contains(mebibytes)
else { fail("expected SEED MIB FOLDER CAPTURE...") }
let folder = arguments[3]
let captures = arguments[4...].compactMap { path in FileManager.default.contents(atPath: path).flatMap(Capture.init) }
guard !captures.isEmpty else { fail("expected a pcap file among the captures") }

var mutator = Mutator(captures: captures, seed: seed)
var left = mebibytes << 20
var number = 0
while left > 0 {
  let bytes = mutator.next()
  let name = String(repeating: "0", count: max(0, 6 - String(number).count)) + String(number)
  guard FileManager.default.createFile(atPath: "\(folder)/\(name).pcap", contents: Data(bytes)) else {
    fail("cannot write into \(folder)")
  }
  number += 1
  left -= bytes.count
}
