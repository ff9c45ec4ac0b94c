/// What a NIC's virtualization has to hold, whoever wrote it.
public enum Law: String, Sendable, CaseIterable {
  /// Descriptors say what they were made to say, and every bit pattern is a descriptor.
  case formats
  /// The datasheet's examples mean what the datasheet says.
  case vectors
  /// The register map is in order: aligned, sorted, without overlap, inside the register BAR.
  case registerMap
  /// Fewer than ten rows of the Remapping Table (paper §4.3).
  case remappingTableSize
  /// Frames keep their order through many turns of the queues, both ways, none lost or doubled.
  case orderAcrossWrap
  /// An OS driver finds the same frames, memory and registers as without Ally.
  case transparency
  /// No address of DPI memory is where the OS can read it, and nothing is stored but in the driver's queues and buffers.
  case isolation
  /// No byte that the inspector did not let pass is visible to the OS or on the wire.
  case noUninspectedByte
  /// An OS that writes nonsense to registers and queues neither traps, nor sends anything, nor misleads the NIC.
  case hostileOS
  /// The OS may reset its NIC at any step: nothing is doubled, and afterwards all is as after the first start.
  case resetAtEveryStep
  /// A pass over the queues allocates nothing. Checked where the build is optimised; otherwise the language itself allocates.
  case zeroAllocation
  /// The packet loops were compiled for this driver's formats: a pass looks nothing up in the runtime, which code for formats
  /// of any kind has to. Checked where the build is optimised.
  case specialisation
}

/// A law that a driver breaks.
public struct LawFailure: Sendable, CustomStringConvertible {
  public var law: Law
  /// What was found, in a sentence.
  public var sentence: String
  /// What the random choices followed from.
  public var seed: UInt64
  /// The queues at that moment, where the law is about queues; see ``RingDiagram``.
  public var diagram: String?

  public var description: String {
    "\(law.rawValue): \(sentence) (seed \(seed))" + (diagram.map { "\n\($0)" } ?? "")
  }
}
