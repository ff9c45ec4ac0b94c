import AllyHW

/// The receiver of a controller whose rings are governed by RCTL alone: 8254x and 82574.
extension IntelController {
  var receiveControl: IntelReceiveControl { IntelReceiveControl(rawValue: self[IntelRegister.receiveControl]) }

  /// The filter that RCTL and VET describe.
  var receiveFilter: IntelReceiveFilter {
    IntelReceiveFilter(
      control: receiveControl, vlanEtherType: UInt16(truncatingIfNeeded: self[IntelRegister.vlanEtherType]))
  }

  enum Admission {
    case refused(FrameReception)
    case admitted(IntelReceiveFilter, vlanTag: UInt16?)
  }

  /// Whether the controller wants a frame, by RCTL and the filter tables; counts what it does not.
  mutating func admit(_ frame: Span<UInt8>, isPaced: Bool) -> Admission {
    let filter = receiveFilter
    let limit = filter.control.contains(.longPacket) ? maximumFrameLength : 1522
    if let refusal = refusal(
      of: frame, isEnabled: filter.control.contains(.enable), limit: limit, isPaced: isPaced)
    {
      return .refused(refusal)
    }
    let tag = filter.vlanTag(frame)
    guard filter.accepts(frame, vlanTag: tag, register: { self[$0] }) else {
      countReceived(frame)
      return .refused(.filtered)
    }
    return .admitted(filter, vlanTag: tag)
  }

  /// The causes that a delivery raises, apart from those that name a queue.
  func causes(of delivery: IntelDelivery, frameLength: Int) -> IntelCause {
    guard delivery.reception == .completed else { return delivery.isOverrun ? .receiverOverrun : [] }
    var causes: IntelCause = .receiverTimer
    let small = Int(self[IntelRegister.receiveSmallPacket])
    if small > 0, frameLength <= small { causes.insert(.smallReceivePacket) }
    if delivery.reached(delivery.count >> receiveControl.minimumThresholdShift) {
      causes.insert(.receiveDescriptorMinimum)
    }
    return causes
  }
}
