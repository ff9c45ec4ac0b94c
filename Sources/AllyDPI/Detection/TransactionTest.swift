/// A condition that one protocol's transactions alone can meet: ``ApplicationTransaction/matches(_:in:from:ranges:)``.
enum TransactionTest: BitwiseCopyable, Sendable {
  case ftpDataCommand(FTPDataCommand)
  case ftpBounce
  case dcerpcInterface(DCERPCInterfaceTest)
  /// Into the program's ranges of numbers.
  case dcerpcOperation(TableRange)
}

/// ``DCERPCInterface``, flat.
struct DCERPCInterfaceTest: BitwiseCopyable, Sendable {
  /// The UUID's 16 bytes in the order in which it is written.
  var high: UInt64
  var low: UInt64
  var version: NumberTest?
  var anyFragment: Bool

  init(_ interface: DCERPCInterface) {
    high = interface.uuid.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    low = interface.uuid.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
    version = interface.version.map { NumberTest($0) }
    anyFragment = interface.anyFragment
  }
}
