/// What an interrupt does at the core that gets it (Intel 64 SDM volume 3, §10.6.1): the encoding that I/O APIC entries,
/// message data and interrupt commands share.
@frozen
public enum DeliveryMode: UInt8, Sendable, BitwiseCopyable {
  case fixed = 0
  /// Fixed, at one core of those that are named: the one that does the least urgent work.
  case lowestPriority = 1
  case systemManagement = 2
  case nonMaskable = 4
  case initialize = 5
  case startUp = 6
  /// From an external controller of the 8259A kind.
  case external = 7

  /// Whether the vector names an entry of the Interrupt Descriptor Table.
  @inlinable public var usesVector: Bool { self == .fixed || self == .lowestPriority }
}

/// Which cores an interrupt is for.
@frozen
public enum InterruptDestination: Sendable, BitwiseCopyable, Equatable {
  /// A local APIC id; 255 means all of them.
  case physical(UInt32)
  /// A set of cores, as their logical destination registers say (Intel 64 SDM volume 3, §10.6.2.2).
  case logical(UInt8)
  case allIncludingSelf
  case allExcluding(LocalAPICID)
}

/// An interrupt on its way to local APICs, whatever it comes from.
@frozen
public struct InterruptMessage: Sendable, BitwiseCopyable, Equatable {
  public var vector: UInt8
  public var mode: DeliveryMode
  public var destination: InterruptDestination
  /// Level-triggered: the end of it is reported back to the I/O APIC.
  public var isLevel: Bool

  @inlinable
  public init(
    vector: UInt8, mode: DeliveryMode = .fixed, destination: InterruptDestination, isLevel: Bool = false
  ) {
    self.vector = vector
    self.mode = mode
    self.destination = destination
    self.isLevel = isLevel
  }
}

/// The interrupt command register of a local APIC (Intel 64 SDM volume 3, §10.6.1): how software on a core sends
/// interrupts to cores.
@frozen
public struct InterruptCommand: RawRepresentable, Sendable, BitwiseCopyable, Equatable {
  public var rawValue: UInt64
  @inlinable
  public init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Whom a command is for, when not for its destination field: bits 19–18.
  @frozen
  public enum Shorthand: UInt8, Sendable, BitwiseCopyable {
    case none = 0
    case itself = 1
    case allIncludingSelf = 2
    case allExcludingSelf = 3
  }

  /// The command that sends an interrupt; `destination` is an APIC id, or a logical one.
  @inlinable
  public init(
    vector: UInt8, mode: DeliveryMode = .fixed, destination: UInt8 = 0, isLogical: Bool = false,
    shorthand: Shorthand = .none
  ) {
    let assert: UInt64 = 1 << 14
    rawValue =
      UInt64(vector) | UInt64(mode.rawValue) << 8 | (isLogical ? 1 << 11 : 0) | assert
      | UInt64(shorthand.rawValue) << 18 | UInt64(destination) << 56
  }

  /// What the command asks for; nil for a reserved delivery mode, and for the de-assertion of an INIT, which does nothing
  /// since the Pentium 4.
  public func message(from sender: LocalAPICID) -> InterruptMessage? {
    guard let mode = DeliveryMode(rawValue: UInt8(truncatingIfNeeded: rawValue >> 8) & 7), mode != .external else {
      return nil
    }
    let isLevel = rawValue >> 15 & 1 == 1
    if mode == .initialize, isLevel, rawValue >> 14 & 1 == 0 { return nil }
    let target = UInt8(truncatingIfNeeded: rawValue >> 56)
    let destination: InterruptDestination =
      switch Shorthand(rawValue: UInt8(truncatingIfNeeded: rawValue >> 18) & 3) ?? .none {
      case .none: rawValue >> 11 & 1 == 1 ? .logical(target) : .physical(UInt32(target))
      case .itself: .physical(sender.rawValue)
      case .allIncludingSelf: .allIncludingSelf
      case .allExcludingSelf: .allExcluding(sender)
      }
    // IPIs are edge-triggered, whatever bit 15 says.
    return InterruptMessage(
      vector: UInt8(truncatingIfNeeded: rawValue), mode: mode, destination: destination)
  }
}
