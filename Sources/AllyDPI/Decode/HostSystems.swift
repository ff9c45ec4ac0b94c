internal import AllyPacket

/// Which operating systems the hosts of networks run (`host-os-policy`): that says what they make of data that comes twice.
public struct HostSystems: Sendable {
  /// As Suricata names them.
  public enum System: String, Sendable, CaseIterable {
    case bsd
    case bsdRight = "bsd-right"
    case oldLinux = "old-linux"
    case linux
    case oldSolaris = "old-solaris"
    case solaris, hpux10, hpux11, irix, macos, windows, vista, windows2k3
  }

  private struct Network {
    var address: IPAddress
    /// Bits of the address that count, of 128.
    var length: Int
    var system: System
  }

  /// The longest prefixes first.
  private var networks: [Network] = []

  public init() {}

  public var isEmpty: Bool { networks.isEmpty }

  /// - Parameters:
  ///   - network: an address, or one with the length of its prefix: `10.0.0.0/8`, `2001:db8::/32`.
  ///   - system: what its hosts run.
  /// - Returns: whether it is one.
  public mutating func add(_ network: String, _ system: System) -> Bool {
    let parts = network.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count <= 2, let text = parts.first, let address = IPAddressText.address(Array(text.utf8)[...]) else {
      return false
    }
    let bits = address.isIPv4 ? 32 : 128
    let length = parts.count == 2 ? Int(parts[1]) : bits
    guard let length, (0...bits).contains(length) else { return false }
    let new = Network(address: address, length: 128 - bits + length, system: system)
    let place = networks.firstIndex { $0.length < new.length } ?? networks.count
    networks.insert(new, at: place)
    return true
  }

  /// What a host runs; BSD, when nothing is said.
  func system(of host: IPAddress) -> System {
    for network in networks where Self.agree(host, network.address, network.length) { return network.system }
    return .bsd
  }

  private static func agree(_ left: IPAddress, _ right: IPAddress, _ length: Int) -> Bool {
    let high: UInt64 = length >= 64 ? .max : length == 0 ? 0 : .max << UInt64(64 - length)
    let low: UInt64 = length <= 64 ? 0 : .max << UInt64(128 - length)
    return (left.high ^ right.high) & high == 0 && (left.low ^ right.low) & low == 0
  }
}

extension HostSystems.System {
  /// Which copy of a fragment it keeps.
  var ofFragments: OverlapPolicy {
    switch self {
    case .bsd, .hpux10, .irix: .bsd
    case .bsdRight: .bsdRight
    case .oldLinux, .linux: .linux
    case .oldSolaris, .hpux11, .macos: .first
    case .solaris: .solaris
    case .windows, .vista, .windows2k3: .windows
    }
  }

  /// Which copy of a segment's bytes it keeps.
  var ofSegments: OverlapPolicy {
    switch self {
    case .bsd, .bsdRight, .hpux10, .irix, .macos, .windows, .windows2k3: .bsd
    case .linux: .segmentsLinux
    case .oldLinux: .segmentsOldLinux
    case .solaris, .oldSolaris, .hpux11: .segmentsSolaris
    case .vista: .first
    }
  }
}
