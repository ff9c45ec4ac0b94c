/// What becomes of traffic that the engine cannot follow (`stream.midstream-policy`, `app-layer.error-policy`).
public enum ExceptionPolicy: String, Sendable, CaseIterable, BitwiseCopyable {
  case ignore
  case dropPacket = "drop-packet"
  case dropFlow = "drop-flow"
  case reject
  case bypass
  case passPacket = "pass-packet"
  case passFlow = "pass-flow"

  /// What it means to an engine: one that is not inline stops nothing.
  func asSeen(byInline isInline: Bool) -> ExceptionPolicy { stopsTraffic && !isInline ? .ignore : self }

  /// Whether the traffic is followed all the same.
  var letsFollow: Bool {
    switch self {
    case .ignore, .passPacket, .passFlow: true
    case .dropPacket, .dropFlow, .reject, .bypass: false
    }
  }

  /// Whether it stops traffic: only inline engines can.
  var stopsTraffic: Bool {
    switch self {
    case .dropPacket, .dropFlow, .reject: true
    case .ignore, .bypass, .passPacket, .passFlow: false
    }
  }
}
