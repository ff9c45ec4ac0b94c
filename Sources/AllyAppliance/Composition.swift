public import AllyPacket
public import AllyRings

/// Why an inspector cannot stand behind a NIC.
public struct CompositionError: Error, Sendable, Equatable, CustomStringConvertible {
  /// What the inspector does and cannot do there.
  public var unsupported: InspectorActions
  /// The protection level that was asked for.
  public var protection: PacketProtection
  /// Whether the NIC does what the protection level asks of it.
  public var isProtectionSupported: Bool
  /// Bytes of DPI memory for frames that inspectors make.
  public var copyMemory: UInt64

  public var description: String {
    guard isProtectionSupported else {
      return "this NIC does not support protection \(protection): it neither computes nor verifies frame checksums"
    }
    let names: [(InspectorActions, String)] = [
      (.replacesReceived, "replace received frames"), (.growsReceived, "make received frames longer"),
      (.replacesTransmitted, "replace transmitted frames"), (.injectsTowardsOS, "send frames to the OS"),
      (.injectsTowardsWire, "send frames to the wire"),
    ]
    let what = names.filter { unsupported.contains($0.0) }.map(\.1).joined(separator: ", ")
    let memory =
      copyMemory == 0 ? "without memory for them (RingLimits.copyMemory is 0)" : "at protection \(protection)"
    return "the inspector would \(what), which this NIC's virtualizer does not do \(memory)"
  }
}

extension DPICore where Virtualizer: ~Copyable {
  /// Refuses a protection level that the NIC does not support, and an inspector whose actions the virtualizer cannot carry
  /// out; to be asked when an appliance is composed, so that
  /// it does not show in traffic.
  public static func check<Inspector: PacketInspector & ~Copyable>(
    _ inspector: Inspector.Type, protection: PacketProtection, limits: RingLimits
  ) throws(CompositionError) {
    guard Virtualizer.supports(protection) else {
      throw CompositionError(
        unsupported: [], protection: protection, isProtectionSupported: false, copyMemory: limits.copyMemory)
    }
    let missing = Inspector.actions.subtracting(Virtualizer.supportedActions(at: protection, limits: limits))
    guard missing.isEmpty else {
      throw CompositionError(
        unsupported: missing, protection: protection, isProtectionSupported: true, copyMemory: limits.copyMemory)
    }
  }
}
