/// `decoder`: behind which UDP ports tunnels are looked for. The defaults are Suricata's.
public struct TunnelSettings: BitwiseCopyable, Sendable {
  public var teredo = TunnelPorts.any
  public var vxlan = TunnelPorts([4789])
  public var geneve = TunnelPorts([6081])

  public init() {}
}

/// UDP ports, a few.
public struct TunnelPorts: BitwiseCopyable, Sendable {
  /// How many there can be.
  public static var most: Int { 4 }

  private var ports: InlineArray<4, UInt16> = InlineArray(repeating: 0)
  private var count = 0
  private var isAny = false

  /// - Parameter ports: the first ``most`` count.
  public init(_ ports: [UInt16]) {
    count = min(ports.count, Self.most)
    for index in 0..<count { self.ports[index] = ports[index] }
  }

  public static var none: TunnelPorts { TunnelPorts([]) }

  /// Whatever the port: what is no such tunnel is told by its bytes.
  public static var any: TunnelPorts {
    var ports = TunnelPorts([])
    ports.isAny = true
    return ports
  }

  @inline(__always)
  func contains(_ port: UInt16) -> Bool {
    if isAny { return true }
    for index in 0..<count where ports[index] == port { return true }
    return false
  }
}
