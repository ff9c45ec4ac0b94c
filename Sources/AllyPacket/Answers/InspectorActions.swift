/// What an inspector does to frames besides accepting and dropping them.
///
/// Declared with ``PacketInspector/actions`` and checked when an appliance is composed, against what the protection level
/// and the NIC can carry out. An inspector without actions costs nothing for them.
@frozen
public struct InspectorActions: OptionSet, Sendable, BitwiseCopyable {
  public var rawValue: UInt8

  @inlinable
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// It replaces received frames by others that are not longer.
  @inlinable public static var replacesReceived: Self { Self(rawValue: 1) }
  /// It replaces received frames by longer ones.
  @inlinable public static var growsReceived: Self { Self(rawValue: 2) }
  /// It replaces frames that the OS sends, by frames of any length.
  @inlinable public static var replacesTransmitted: Self { Self(rawValue: 4) }
  /// It sends frames of its own to the OS; among them the answer to a frame of the OS that it rejects.
  @inlinable public static var injectsTowardsOS: Self { Self(rawValue: 8) }
  /// It sends frames of its own to the wire; among them the answer to a received frame that it rejects.
  @inlinable public static var injectsTowardsWire: Self { Self(rawValue: 16) }

  /// All of them.
  @inlinable public static var all: Self { Self(rawValue: 31) }
}
