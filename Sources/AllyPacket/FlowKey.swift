/// A connection's identity: the two endpoints in canonical order, the protocol and the VLAN, so that both directions
/// give the same key.
@frozen
public struct FlowKey: Sendable, BitwiseCopyable, Hashable {
  public var lowAddress: IPAddress
  public var highAddress: IPAddress
  public var lowPort: UInt16
  public var highPort: UInt16
  /// Outer VLAN id in the low 16 bits, the inner one in the high 16; 0 without.
  public var vlan: UInt32
  /// The IP protocol number.
  public var ipProtocol: UInt8

  /// - Returns: the key, and whether the packet runs from the high endpoint to the low one.
  @inlinable
  public static func canonical(
    source: IPAddress, sourcePort: UInt16, destination: IPAddress, destinationPort: UInt16, ipProtocol: UInt8,
    vlan: UInt32 = 0
  ) -> (key: FlowKey, reversed: Bool) {
    let reversed = destination < source || (destination == source && destinationPort < sourcePort)
    let key =
      reversed
      ? FlowKey(
        lowAddress: destination, highAddress: source, lowPort: destinationPort, highPort: sourcePort, vlan: vlan,
        ipProtocol: ipProtocol)
      : FlowKey(
        lowAddress: source, highAddress: destination, lowPort: sourcePort, highPort: destinationPort, vlan: vlan,
        ipProtocol: ipProtocol)
    return (key, reversed)
  }

  @inlinable
  init(
    lowAddress: IPAddress, highAddress: IPAddress, lowPort: UInt16, highPort: UInt16, vlan: UInt32, ipProtocol: UInt8
  ) {
    self.lowAddress = lowAddress
    self.highAddress = highAddress
    self.lowPort = lowPort
    self.highPort = highPort
    self.vlan = vlan
    self.ipProtocol = ipProtocol
  }

  /// A hash that a remote host cannot aim at: multiply-mix with a seed that the process chose at random.
  @inlinable
  public func hash(seed: UInt64) -> UInt64 {
    func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
      let product = a.multipliedFullWidth(by: b)
      return product.high ^ product.low
    }
    let ports = UInt64(lowPort) | UInt64(highPort) << 16 | UInt64(ipProtocol) << 32
    var h = mix(lowAddress.high ^ seed ^ 0xA076_1D64_78BD_642F, lowAddress.low ^ 0xE703_7ED1_A0B4_28DB)
    h = mix(highAddress.high ^ h, highAddress.low ^ 0x8EBC_6AF0_9C88_C6E3 ^ seed)
    h = mix(ports ^ h, UInt64(vlan) ^ 0x5899_65CC_7537_4CC3 ^ seed)
    return h
  }
}
