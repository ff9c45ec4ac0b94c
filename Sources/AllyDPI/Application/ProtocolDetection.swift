/// What finding out a flow's protocol met: events of protocol detection itself, which belong to a packet and to no
/// transaction. Rules name them as `app-layer-event:NAME`.
enum DetectionEvent: UInt8, CaseIterable, BitwiseCopyable, Sendable {
  case mismatchBothDirections, wrongDirectionFirstData, onlyOneDirection, detectionSkipped, noTLSAfterSTARTTLS
  case unexpectedProtocol

  var name: StaticString {
    switch self {
    case .mismatchBothDirections: "applayer_mismatch_protocol_both_directions"
    case .wrongDirectionFirstData: "applayer_wrong_direction_first_data"
    case .onlyOneDirection: "applayer_detect_protocol_only_one_direction"
    case .detectionSkipped: "applayer_proto_detection_skipped"
    case .noTLSAfterSTARTTLS: "applayer_no_tls_after_starttls"
    case .unexpectedProtocol: "applayer_unexpected_protocol"
    }
  }

  /// - Returns: nil when there is no such event.
  static func named(_ name: String) -> DetectionEvent? { allCases.first { $0.name.description == name } }
}

/// Some of them.
struct DetectionEventSet: BitwiseCopyable, Sendable {
  private var bits: UInt8 = 0

  var isEmpty: Bool { bits == 0 }
  func contains(_ event: DetectionEvent) -> Bool { bits & 1 &<< event.rawValue != 0 }
  mutating func insert(_ event: DetectionEvent) { bits |= 1 &<< event.rawValue }
  mutating func formUnion(_ other: DetectionEventSet) { bits |= other.bits }
}

/// What each side of a flow was found to speak, by places in ``ApplicationParsers/all``. The flow as a whole speaks
/// ``Flow/protocolNumber``.
struct FlowProtocols: BitwiseCopyable, Sendable {
  var toServer = ApplicationParsers.none
  var toClient = ApplicationParsers.none
  /// What was spoken before the flow changed over to something else (STARTTLS, CONNECT, an upgrade).
  var original = ApplicationParsers.none
  /// What was announced to come then.
  var expected = ApplicationParsers.none

  subscript(side: FlowSide) -> UInt8 {
    get { side == .toServer ? toServer : toClient }
    set { if side == .toServer { toServer = newValue } else { toClient = newValue } }
  }

  mutating func swapSides() { swap(&toServer, &toClient) }
}

extension ApplicationParsers {
  /// What a side says is no protocol that is known here.
  static var failed: UInt8 { .max - 1 }

  /// As records say it; nil for ``none``.
  static func name(at place: UInt8) -> StaticString? {
    place == none ? nil : place == failed ? "failed" : all[Int(place)].recordName
  }
}
