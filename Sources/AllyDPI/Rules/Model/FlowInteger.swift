/// `flowint`: a number that a flow keeps under a name.
public struct FlowInteger: Sendable, Equatable {
  public enum Operation: Sendable, BitwiseCopyable {
    // Done when the rule matches.
    case set, add, subtract
    // Conditions; a number that is not there fulfils none of them.
    case less, lessOrEqual, equal, notEqual, greaterOrEqual, greater
    /// Condition: the number is there.
    case isSet
    /// Condition: the number is not there.
    case isNotSet

    /// Whether the operation decides on a match, or follows one.
    public var isCondition: Bool {
      switch self {
      case .set, .add, .subtract: false
      default: true
      }
    }
  }
  public enum Operand: Sendable, Equatable {
    case constant(UInt32)
    /// The number that the flow keeps under this name.
    case name(String)
  }
  public var name: String
  public var operation: Operation
  /// nil for `isSet` and `isNotSet`.
  public var operand: Operand?
}

/// `stream_size`: how many bytes each side of a TCP connection has sent.
public struct StreamSize: Sendable, Equatable {
  public enum Side: String, Sendable, BitwiseCopyable {
    case server, client
    /// Both sides fulfil the comparison.
    case both
    /// One of them does.
    case either
  }
  public var side: Side
  public var size: NumberMatch
}

/// `ipv4-csum` and its siblings.
public struct ChecksumMatch: Sendable, Equatable {
  public enum Layer: String, Sendable, BitwiseCopyable, CaseIterable {
    case ipv4 = "ipv4-csum"
    case tcpv4 = "tcpv4-csum"
    case tcpv6 = "tcpv6-csum"
    case udpv4 = "udpv4-csum"
    case udpv6 = "udpv6-csum"
    case icmpv4 = "icmpv4-csum"
    case icmpv6 = "icmpv6-csum"
  }
  public var layer: Layer
  public var isValid: Bool
}

/// `tag`: after an alert the packets that follow are recorded too. It changes no verdict.
public struct Tag: Sendable, Equatable {
  public enum Scope: Sendable, Equatable {
    case session, sourceHost, destinationHost
  }
  public enum Unit: String, Sendable, BitwiseCopyable { case packets, seconds, bytes }
  public var scope: Scope
  public var count: UInt32
  public var unit: Unit
}

/// `base64_decode`: decodes into ``InspectionBuffer/base64Data``; nothing to decode does not match.
public struct Base64Decode: Sendable, Equatable {
  public var view: BufferView = .payload
  /// At most so many encoded bytes; nil for all.
  public var byteCount: UInt32? = nil
  public var offset: UInt32 = 0
  /// From the end of the previous match.
  public var isRelative: Bool = false
}
