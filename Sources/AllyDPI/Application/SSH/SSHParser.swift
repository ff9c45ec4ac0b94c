internal import AllyPacket

/// SSH (RFC 4253): banners, and what both sides offer in their key exchange, until it is over.
final class SSHParser: ApplicationParser {
  static var applicationProtocol: ApplicationProtocol { .ssh }
  static var recordName: StaticString { "ssh" }
  static var recordKind: RecordKinds { .ssh }
  static var recognizesEachSide: Bool { true }
  static var transports: [UInt8] { [IPProtocolNumber.tcp] }
  static let eventNames: [StaticString] = SSHEvent.allCases.map(\.name)

  /// Bytes of a banner with its line end (RFC 4253 §4.2).
  private static var longestBanner: Int { 256 }

  private let limits: ApplicationLimits
  private let current = SSHTransaction()
  private var isOver = false
  private var toServer = Reading()
  private var toClient = Reading()

  /// Where one side's stream is.
  private struct Reading {
    enum Place { case banner, restOfBanner, packet, done }
    var place = Place.banner
    /// The banner, or the packet's header and what is wanted of it.
    var pending: [UInt8] = []
    /// The side has changed over to new keys (RFC 4253 §7.3).
    var isEncrypted = false
    /// Bytes of a packet that are of no interest.
    var skipped = 0
  }

  init(limits: ApplicationLimits, transport: UInt8) {
    self.limits = limits
    current.recordsHassh = limits.options.hassh == .on
  }

  static func availability(of buffer: InspectionBuffer, from side: FlowSide) -> BufferAvailability? {
    typealias Stage = SSHTransaction.Stage
    return switch buffer {
    case .sshProtocol, .sshSoftware: BufferAvailability(stage: Stage.banner)
    case .sshHassh, .sshHasshString: side == .toServer ? BufferAvailability(stage: Stage.offer) : nil
    case .sshHasshServer, .sshHasshServerString: side == .toClient ? BufferAvailability(stage: Stage.offer) : nil
    default: nil
    }
  }

  static func recognize(_ start: RawSpan, from side: FlowSide, serverPort: UInt16, transport: UInt8) -> Recognition {
    let magic = [UInt8]("SSH-".utf8)
    for index in 0..<min(start.byteCount, magic.count) where start.byte(at: index) != magic[index] { return .no }
    return start.byteCount >= magic.count ? .yes : .needsMore
  }

  var isEncrypted: Bool { toServer.isEncrypted && toClient.isEncrypted }

  // MARK: data

  func receive(_ data: RawSpan, from side: FlowSide) {
    if side == .toServer { read(data, &toServer, side) } else { read(data, &toClient, side) }
  }

  private func read(_ data: RawSpan, _ reading: inout Reading, _ side: FlowSide) {
    var offset = 0
    while offset < data.byteCount {
      switch reading.place {
      case .banner: readBanner(data, &offset, &reading, side)
      case .restOfBanner:
        guard let end = data.firstIndex(of: .lineFeed, from: offset) else { return }
        offset = end + 1
        reading.place = .packet
      case .packet: readPacket(data, &offset, &reading, side)
      case .done: return
      }
    }
  }

  private func readBanner(_ data: RawSpan, _ offset: inout Int, _ reading: inout Reading, _ side: FlowSide) {
    let end = data.firstIndex(of: .lineFeed, from: offset)
    let stop = min(end ?? data.byteCount, offset + SSHParser.longestBanner - reading.pending.count)
    reading.pending.append(data.extracting(offset..<stop))
    offset = stop
    if let end, end == stop {
      offset += 1
      reading.place = .packet
    } else if reading.pending.count >= SSHParser.longestBanner {
      current.note(.longBanner)
      reading.place = .restOfBanner
    } else {
      return
    }
    if !current.readBanner(reading.pending[...], side) {
      current.note(.invalidBanner)
      reading.place = .done
    }
    reading.pending.removeAll(keepingCapacity: true)
  }

  /// RFC 4253 §6: length, padding length, and the message with its type first.
  private func readPacket(_ data: RawSpan, _ offset: inout Int, _ reading: inout Reading, _ side: FlowSide) {
    if reading.skipped > 0 {
      let count = min(reading.skipped, data.byteCount - offset)
      reading.skipped -= count
      offset += count
      return
    }
    while reading.pending.count < 6, offset < data.byteCount {
      reading.pending.append(data.byte(at: offset))
      offset += 1
    }
    var header = ByteReader(reading.pending)
    guard let length = header.u32(), header.skip(1), let type = header.u8() else { return }
    guard length >= 2, length <= 1 << 20 else {
      current.note(.invalidRecord)
      reading.place = .done
      return
    }
    if type == SSHMessage.newKeys {
      current.advance(side, to: SSHTransaction.Stage.finished)
      reading.place = .done
      reading.isEncrypted = true
      return
    }
    let whole = 4 + Int(length)
    if type == SSHMessage.keyExchangeInit && whole > limits.handshake { current.note(.longKeyExchange) }
    guard type == SSHMessage.keyExchangeInit, whole <= limits.handshake else {
      reading.skipped = whole - 6
      reading.pending.removeAll(keepingCapacity: true)
      return
    }
    let count = min(whole - reading.pending.count, data.byteCount - offset)
    reading.pending.append(data.extracting(offset..<(offset + count)))
    offset += count
    guard reading.pending.count == whole else { return }
    current.readOffer(reading.pending[6...], side)
    reading.pending.removeAll(keepingCapacity: true)
  }

  func skip(_ count: Int, from side: FlowSide) {
    if side == .toServer { toServer.place = .done } else { toClient.place = .done }
  }

  func close(_ side: FlowSide) { current.advance(side, to: TransactionStage.complete) }

  var transactionCount: Int { isOver ? 0 : 1 }
  func transaction(at index: Int) -> any ApplicationTransaction { current }
  func removeTransaction(at index: Int) { isOver = true }
}

/// Types of messages (RFC 4250 §4.1.2).
enum SSHMessage {
  static var keyExchangeInit: UInt8 { 20 }
  static var newKeys: UInt8 { 21 }
}

/// What is odd about a conversation. The names are those that rules ask for as `app-layer-event:ssh.NAME`.
enum SSHEvent: UInt8, CaseIterable, Sendable {
  case invalidBanner, longBanner, invalidRecord, longKeyExchange

  var name: StaticString {
    switch self {
    case .invalidBanner: "invalid_banner"
    case .longBanner: "long_banner"
    case .invalidRecord: "invalid_record"
    case .longKeyExchange: "long_kex_record"
    }
  }
}
