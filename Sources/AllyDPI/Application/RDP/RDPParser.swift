internal import AllyPacket

/// RDP until its connection is set up (MS-RDPBCGR 1.3.1.1): requests and responses of X.224 and MCS, one transaction each.
/// What follows is graphics, or encrypted.
final class RDPParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .rdp }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static var recordName: StaticString { "rdp" }
  static var recordKind: RecordKinds { .rdp }

  private var list: TransactionList<RDPTransaction>
  private var toServer: [UInt8] = []
  private var toClient: [UInt8] = []
  /// Something else follows.
  private var isOver = false

  init(limits: ApplicationLimits, transport: UInt8) { list = TransactionList(limits: limits) }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? { nil }

  // MARK: recognition

  private static var port: UInt16 { 3389 }

  /// On RDP's port any packet of ISO's transport; on others, a request that only RDP's clients make.
  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    guard start.byteCount > 0 else { return .needsMore }
    guard start.byte(at: 0) == RDPPacket.version else { return .no }
    if serverPort == port { return .yes }
    guard side == .toServer else { return .no }
    let bytes = start.extracting(first: 512).array
    guard let length = RDPPacket.length(bytes[...]) else { return bytes.count < 4 ? .needsMore : .no }
    guard length < 512 else { return .no }
    guard bytes.count >= length else { return .needsMore }
    guard case .initialRequest(let request) = RDPPacket.message(bytes[..<length], from: side) else { return .no }
    return request.cookie != nil || request.flags != nil ? .yes : .no
  }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if isOver { return }
    var pending: [UInt8] = []
    if side == .toServer { swap(&pending, &toServer) } else { swap(&pending, &toClient) }
    pending.append(data)
    var rest = pending[...]
    while let first = rest.first, !isOver {
      guard first == RDPPacket.version else {
        isOver = true
        break
      }
      if rest.count < 4 { break }
      guard let length = RDPPacket.length(rest) else {
        isOver = true
        break
      }
      guard rest.count >= length else { break }
      if let message = RDPPacket.message(rest.prefix(length), from: side) {
        _ = list.begin { RDPTransaction(number: $0, message: message) }
      }
      rest = rest.dropFirst(length)
    }
    if isOver { return }
    pending.removeFirst(pending.count - rest.count)
    if side == .toServer { swap(&pending, &toServer) } else { swap(&pending, &toClient) }
  }

  /// Where the next packet begins is not known.
  func skip(_ count: Int, from side: FlowSide) { isOver = true }
  func close(_ side: FlowSide) {}

  var transactionCount: Int { list.items.count }
  func transaction(at index: Int) -> any ApplicationTransaction { list.items[index] }
  func removeTransaction(at index: Int) { list.remove(at: index) }
}
