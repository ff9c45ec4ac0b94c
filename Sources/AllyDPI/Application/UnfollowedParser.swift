internal import AllyPacket

/// A parser of a protocol that is recognised and not followed: no transactions, no buffers. Rules may ask for the protocol and look
/// at its streams.
protocol UnfollowedParser: ApplicationParser {}

extension UnfollowedParser {
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  func receive(_ data: RawSpan, from side: FlowSide) {}
  func skip(_ count: Int, from side: FlowSide) {}
  func close(_ side: FlowSide) {}

  var transactionCount: Int { 0 }
  func transaction(at index: Int) -> any ApplicationTransaction { EmptyTransaction() }
  func removeTransaction(at index: Int) {}
}

/// What there is none of.
private final class EmptyTransaction: MessageTransaction {
  var number: UInt64 { 0 }
  var events: ApplicationEvents { ApplicationEvents() }
  let inspection = TransactionInspection()

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {}
}
