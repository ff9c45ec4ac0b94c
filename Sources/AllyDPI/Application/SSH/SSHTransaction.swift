/// A whole conversation: SSH has one transaction for each flow. It can be recorded when both banners are there.
final class SSHTransaction: ApplicationTransaction {
  enum Stage {
    static var opened: UInt8 { 1 }
    static var banner: UInt8 { 2 }
    /// The side's offer for the key exchange is there.
    static var offer: UInt8 { 3 }
    /// What the side says is encrypted from here on.
    static var finished: UInt8 { 4 }
  }

  /// What one side said.
  struct Side {
    var stage = Stage.opened
    var version: [UInt8] = []
    var software: [UInt8] = []
    /// HASSH: the algorithms that the side offers, in its order, and their MD5.
    var hasshString: [UInt8] = []
    var hassh: [UInt8] = []
  }

  let number: UInt64 = 0
  var recordsHassh = false
  private var client = Side()
  private var server = Side()
  private(set) var events = ApplicationEvents()
  let inspection = TransactionInspection()

  func note(_ event: SSHEvent) { events.insert(event.rawValue) }

  private func side(_ side: FlowSide) -> Side { side == .toServer ? client : server }

  private func withSide(_ side: FlowSide, _ body: (inout Side) -> Void) {
    if side == .toServer { body(&client) } else { body(&server) }
  }

  func advance(_ flowSide: FlowSide, to stage: UInt8) {
    withSide(flowSide) { $0.stage = max($0.stage, stage) }
  }

  /// `SSH-2.0-OpenSSH_9.2p1 comment` (RFC 4253 §4.2).
  ///
  /// - Returns: whether it is one.
  func readBanner(_ line: ArraySlice<UInt8>, _ flowSide: FlowSide) -> Bool {
    var rest = line
    while rest.last == .carriageReturn { rest = rest.dropLast() }
    guard rest.starts(with: [UInt8]("SSH-".utf8)) else { return false }
    rest = rest.dropFirst(4)
    guard let dash = rest.firstIndex(of: UInt8(ascii: "-")), dash > rest.startIndex else { return false }
    let version = Array(rest[..<dash])
    let software = Array(rest[(dash + 1)...].prefix { $0 != 0x20 && $0 != .carriageReturn })
    withSide(flowSide) {
      $0.version = version
      $0.software = software
    }
    advance(flowSide, to: Stage.banner)
    return true
  }

  /// RFC 4253 §7.1: a cookie and ten lists of names.
  func readOffer(_ message: ArraySlice<UInt8>, _ flowSide: FlowSide) {
    var reader = ByteReader(message)
    guard reader.skip(16) else { return note(.invalidRecord) }
    var lists: [ArraySlice<UInt8>] = []
    for _ in 0..<10 {
      guard let length = reader.u32(), let list = reader.take(Int(length)) else { return note(.invalidRecord) }
      lists.append(list)
    }
    // Key exchange, then encryption, MAC and compression of this side's direction.
    let first = flowSide == .toServer ? 2 : 3
    let parts = [lists[0], lists[first], lists[first + 2], lists[first + 4]]
    let text = Array(parts.joined(separator: [UInt8(ascii: ";")]))
    let hash = TLSFingerprints.md5(text)
    withSide(flowSide) {
      $0.hasshString = text
      $0.hassh = hash
    }
    advance(flowSide, to: Stage.offer)
  }

  func stage(of flowSide: FlowSide) -> UInt8 { side(flowSide).stage }

  func bytes(of buffer: InspectionBuffer, from flowSide: FlowSide, at index: Int) -> ArraySlice<UInt8>? {
    guard index == 0 else { return nil }
    let side = side(flowSide)
    let bytes: [UInt8]
    switch buffer {
    case .sshProtocol: bytes = side.version
    case .sshSoftware: bytes = side.software
    case .sshHassh where flowSide == .toServer, .sshHasshServer where flowSide == .toClient: bytes = side.hassh
    case .sshHasshString where flowSide == .toServer, .sshHasshServerString where flowSide == .toClient:
      bytes = side.hasshString
    default: return nil
    }
    return bytes.isEmpty ? nil : bytes[...]
  }

  // MARK: records

  var isRecordable: Bool {
    let wanted = recordsHassh ? Stage.offer : Stage.banner
    return client.stage >= wanted && server.stage >= wanted
  }
  func recordCount(_ options: RecordOptions) -> Int { client.version.isEmpty && server.version.isEmpty ? 0 : 1 }

  func writeFields(to json: inout JSONWriter, _ options: RecordOptions) {
    json.key("ssh")
    json.beginObject()
    for (name, side) in [("client" as StaticString, client), ("server", server)] where !side.version.isEmpty {
      json.key(name)
      json.beginObject()
      json.key("proto_version")
      json.text(side.version[...])
      if !side.software.isEmpty {
        json.key("software_version")
        json.text(side.software[...])
      }
      if recordsHassh && !side.hasshString.isEmpty {
        json.key("hassh")
        json.beginObject()
        json.key("hash")
        json.text(side.hassh[...])
        json.key("string")
        json.text(side.hasshString[...])
        json.endObject()
      }
      json.endObject()
    }
    json.endObject()
  }
}
