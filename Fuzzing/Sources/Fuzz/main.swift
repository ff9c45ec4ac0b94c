internal import CLibFuzzer
internal import Glibc

// Fuzz --list                       the names of the targets
// Fuzz --make-corpus FOLDER         writes seeds made from Examples/Demo below FOLDER; run in the package's root
// Fuzz --target=NAME [libFuzzer's own arguments]
//
// libFuzzer passes over arguments that begin with two dashes.

/// What libFuzzer calls for each input. A C function carries no context, so the target stands here; libFuzzer calls on
/// the main thread, one input after the other.
nonisolated(unsafe) var runInput: ([UInt8]) -> Void = { _ in }

let arguments = CommandLine.arguments
if arguments.dropFirst().first == "--list" {
  for target in targets { print(target.name) }
  exit(0)
}
if arguments.count == 3, arguments[1] == "--make-corpus" {
  try CorpusMaker(folder: arguments[2]).make()
  exit(0)
}
let option = "--target="
guard let name = arguments.first(where: { $0.hasPrefix(option) })?.dropFirst(option.count),
  let target = targets.first(where: { $0.name == name })
else {
  print("Fuzz: expected \(option)NAME with one of: \(targets.map { $0.name }.joined(separator: ", "))")
  exit(64)
}
unsafe runInput = try target.start()

// libFuzzer keeps the arguments, and may change them.
let passed = arguments + ["-max_len=\(target.longestInput)"]
var argumentCount = CInt(passed.count)
let argumentStorage = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: passed.count + 1)
for (index, argument) in passed.enumerated() { unsafe argumentStorage[index] = strdup(argument) }
unsafe argumentStorage[passed.count] = nil
var argumentList: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe argumentStorage
let status = unsafe LLVMFuzzerRunDriver(&argumentCount, &argumentList) { data, size in
  // An array of its own for each input, so that the address sanitizer knows where it ends.
  unsafe runInput(Array(UnsafeBufferPointer(start: data, count: size)))
  return 0
}
exit(status)
