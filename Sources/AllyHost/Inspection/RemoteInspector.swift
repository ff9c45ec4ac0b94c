public import AllyPacket

/// An inspector in another process, as the rings see it: every frame is submitted to it, and its verdict waited for.
///
/// `Original` is the inspector there; its actions are this one's.
public struct RemoteInspector<Original: PacketInspector & ~Copyable>: PacketInspector, ~Copyable {
  private let link: InspectorLink

  public init(_ link: InspectorLink) { self.link = link }

  public static var actions: InspectorActions { Original.actions }
  public static var takesAnnouncements: Bool { true }

  public mutating func announce(_ packet: borrowing Packet) { link.announce(packet) }

  public mutating func inspect(_ packet: borrowing Packet) -> Verdict {
    var none = FrameAnswers()
    return link.decide(packet, answering: &none)
  }

  public mutating func inspect(_ packet: borrowing Packet, answering answers: inout FrameAnswers) -> Verdict {
    link.decide(packet, answering: &answers)
  }

  /// For times without frames: hears of an inspector's end, and starts another. To be called several times a second.
  public mutating func look() { link.look() }

  public var report: InspectionReport { link.report }
}
