/// What an inspector hands back besides its verdict: a frame in the place of the one that it looked at, and frames of its
/// own. All of it lies in DPI memory.
///
/// Lent to ``PacketInspector/inspect(_:answering:)`` by whoever calls it.
@frozen
@safe
public struct FrameAnswers: ~Copyable {
  /// Invariant: `capacity` bytes, valid as long as this value exists; nil without memory.
  @usableFromInline let scratch: UnsafeMutableRawPointer?
  @usableFromInline let capacity: Int
  /// Frames on their way to the OS.
  public let towardsOS: FrameOutbox
  /// Frames on their way to the wire.
  public let towardsWire: FrameOutbox
  /// The bytes of the replacement, which lies at the beginning of the scratch area; 0 when there is none.
  public private(set) var replacementLength = 0
  /// What goes with the replacement that is not in its bytes.
  public private(set) var replacementOffloads = FrameOffloads.none

  /// Frames that were injected towards the OS since ``begin()``.
  public private(set) var injectedTowardsOS = 0

  /// Answers that cannot be given: every attempt is refused.
  @inlinable
  public init() {
    unsafe scratch = nil
    capacity = 0
    towardsOS = FrameOutbox()
    towardsWire = FrameOutbox()
  }

  /// Answers in the memory given: `capacity` bytes at `scratch` for one frame.
  @unsafe
  @inlinable
  public init(
    scratch: UnsafeMutableRawPointer, capacity: Int, towardsOS: FrameOutbox, towardsWire: FrameOutbox
  ) {
    unsafe self.scratch = scratch
    self.capacity = capacity
    self.towardsOS = towardsOS
    self.towardsWire = towardsWire
  }

  /// Forgets what was answered to the frame before.
  public mutating func begin() {
    replacementLength = 0
    injectedTowardsOS = 0
  }

  /// Puts another frame in the packet's place: `edit` gets a copy of it to change. The verdict is then to be
  /// ``Verdict/replace``.
  ///
  /// Checksums that the NIC would have inserted into a frame of the OS are made right here, with those that the edit may
  /// have made wrong; so is a VLAN tag put in that the NIC would have. With received frames `offloads` tells the OS what to
  /// take as verified; by default nothing, so that it looks itself, and the VLAN tag that the NIC took out stays.
  ///
  /// - Parameters:
  ///   - packet: the frame that is replaced.
  ///   - offloads: of a received frame, what the OS is told; nil for the VLAN tag alone.
  ///   - edit: what changes the copy.
  /// - Returns: false when there is no replacement: there is no memory for it, or the NIC was to cut the frame into
  ///   segments, which must be injected one by one instead.
  public mutating func replace(
    _ packet: borrowing Packet, offloads: FrameOffloads? = nil, _ edit: (inout EditablePacket) -> Void
  ) -> Bool {
    replacementLength = 0
    let count = packet.bytes.byteCount
    // Room for a VLAN tag besides.
    guard let scratch = unsafe scratch, count > 0, count &+ 4 <= capacity,
      packet.direction == .receive || packet.offloads.segmentSize == 0
    else { return false }
    unsafe packet.bytes.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe scratch.copyMemory(from: base, byteCount: bytes.count)
    }
    var editable = unsafe EditablePacket(
      storage: scratch, capacity: capacity, count: count, linkType: packet.stamp.linkType)
    edit(&editable)
    editable.updateHeaders()
    if packet.direction == .receive {
      replacementOffloads = offloads ?? FrameOffloads(vlan: packet.offloads.vlan)
    } else {
      replacementOffloads = .none
      if let vlan = packet.offloads.vlan {
        let tag: InlineArray<4, UInt8> = [
          0x81, 0, UInt8(truncatingIfNeeded: vlan &>> 8), UInt8(truncatingIfNeeded: vlan),
        ]
        // Bytes of initialized integers.
        guard unsafe editable.replaceSubrange(12..<12, with: tag.span.bytes) else { return false }
      }
    }
    replacementLength = editable.count
    return true
  }

  /// Puts a frame that is finished in the packet's place, as it is: of an inspector that had another make it. The verdict is then
  /// to be ``Verdict/replace``.
  ///
  /// - Parameters:
  ///   - packet: the frame that is replaced.
  ///   - frame: what goes on; nothing of it is made right.
  ///   - offloads: of a received frame, what the OS is told.
  /// - Returns: false when there is no replacement: there is no room for it, or the NIC was to cut the frame into segments.
  public mutating func replace(_ packet: borrowing Packet, with frame: RawSpan, offloads: FrameOffloads) -> Bool {
    replacementLength = 0
    guard let scratch = unsafe scratch, frame.byteCount > 0, frame.byteCount <= capacity,
      packet.direction == .receive || packet.offloads.segmentSize == 0
    else { return false }
    unsafe frame.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe scratch.copyMemory(from: base, byteCount: bytes.count)
    }
    replacementOffloads = packet.direction == .receive ? offloads : .none
    replacementLength = frame.byteCount
    return true
  }

  /// Sends a frame of the inspector's own, behind the frame that it looks at.
  ///
  /// - Parameters:
  ///   - frame: an Ethernet frame without frame check sequence, its checksums right.
  ///   - direction: ``Direction/receive`` towards the OS, ``Direction/transmit`` towards the wire.
  ///   - offloads: towards the OS, what it is to take as verified.
  /// - Returns: false when there is no room for it.
  public mutating func inject(
    _ frame: RawSpan, towards direction: Direction, offloads: FrameOffloads = .none
  ) -> Bool {
    switch direction {
    case .receive:
      guard towardsOS.append(frame, offloads: offloads) else { return false }
      injectedTowardsOS &+= 1
      return true
    case .transmit: return towardsWire.append(frame, offloads: offloads)
    }
  }

  /// Tells an endpoint of a packet that it was rejected. The verdict is then to be ``Verdict/reject``.
  ///
  /// - Parameters:
  ///   - packet: what was rejected.
  ///   - rejection: how.
  ///   - endpoint: who is told.
  /// - Returns: false when there is nothing to send (see ``Rejection/frame(about:telling:into:)``), or no room for it.
  @discardableResult
  public mutating func reject(
    _ packet: borrowing Packet, with rejection: Rejection, telling endpoint: RejectedEndpoint = .sender
  ) -> Bool {
    guard let scratch = unsafe scratch else { return false }
    // Nothing is replaced that is rejected, so the scratch area is free.
    replacementLength = 0
    let area = unsafe UnsafeMutableBufferPointer(
      start: scratch.assumingMemoryBound(to: UInt8.self), count: min(capacity, Rejection.longestFrame))
    var span = unsafe MutableSpan(_unsafeElements: area)
    let length = rejection.frame(about: packet, telling: endpoint, into: &span)
    guard length > 0 else { return false }
    let frame = unsafe UnsafeRawBufferPointer(start: scratch, count: length).bytes
    let towardsWire = (packet.direction == .receive) == (endpoint == .sender)
    return inject(
      frame, towards: towardsWire ? .transmit : .receive,
      offloads: towardsWire ? .none : FrameOffloads(vlan: packet.offloads.vlan))
  }

  /// The replacement's bytes.
  @unsafe
  @inlinable
  public var replacement: UnsafeMutableRawPointer? { unsafe scratch }
}
