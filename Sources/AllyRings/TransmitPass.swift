public import AllyPacket

/// How far a worker is within a frame that the OS has posted in part.
@frozen
@usableFromInline
struct PartialFrame: BitwiseCopyable {
  /// Slots of the OS queue that were taken, and as many of the DPI queue that were written ("staged").
  @usableFromInline var slots: UInt32
  /// Bytes of the staged segments.
  @usableFromInline var length: UInt64
  /// What the NIC is asked to do to the frame, as far as its descriptors have said.
  @usableFromInline var offloads: FrameOffloads
  /// Where the NIC writes for them.
  @usableFromInline var places: HeaderPlaces
  /// Whether its descriptors ask for different things.
  @usableFromInline var isContradictory: Bool

  @inlinable
  init() {
    self.slots = 0
    self.length = 0
    self.offloads = .none
    self.places = HeaderPlaces()
    self.isContradictory = false
  }

  /// Takes what the next descriptor asks for: the first that asks says where, the last says which VLAN tag, and all of them or
  /// none have the frame cut.
  @inlinable
  mutating func add(_ asked: FrameOffloads, _ places: HeaderPlaces) {
    let asksForChecksum = asked.ipChecksum || asked.transportChecksum
    if isEmpty {
      offloads = asked
      self.places = places
      return
    }
    if (asked.segmentSize != 0) != (offloads.segmentSize != 0) { isContradictory = true }
    if asksForChecksum {
      if offloads.ipChecksum || offloads.transportChecksum || offloads.segmentSize != 0 {
        if places != self.places { isContradictory = true }
      } else {
        self.places = places
      }
      offloads.ipChecksum = offloads.ipChecksum || asked.ipChecksum
      offloads.transportChecksum = offloads.transportChecksum || asked.transportChecksum
    }
    if let vlan = asked.vlan { offloads.vlan = vlan }
  }

  @inlinable
  @inline(__always)
  var isEmpty: Bool { slots == 0 }
}

/// The indexes of a pass over a transmit queue that meets more than plain frames.
@frozen
@usableFromInline
struct TransmitPass: BitwiseCopyable {
  /// The slot of the OS queue that is loaded next.
  @usableFromInline var taken: UInt32
  /// The slot after the last one of the DPI queue that the NIC may fetch.
  @usableFromInline var tail: UInt32
  /// What is staged in the DPI queue from the tail on.
  @usableFromInline var staged: PartialFrame
  /// Whether what is left of a frame is dropped because its beginning was.
  @usableFromInline var isDiscarding: Bool
  /// The first free byte of the copy memory.
  @usableFromInline var copyTail: UInt64
  /// Frames before the tail that were announced to the inspector and have no verdict yet.
  @usableFromInline var announced = 0

  @inlinable
  init(taken: UInt32, tail: UInt32, staged: PartialFrame, isDiscarding: Bool, copyTail: UInt64) {
    self.taken = taken
    self.tail = tail
    self.staged = staged
    self.isDiscarding = isDiscarding
    self.copyTail = copyTail
  }
}

/// A frame that was announced to an inspector: what its verdict will be carried out on.
@frozen
@usableFromInline
struct AnnouncedFrame: BitwiseCopyable {
  /// The slot of the OS queue behind its last one.
  @usableFromInline var taken: UInt32
  /// Its first slot of the DPI queue, and how many it has in either.
  @usableFromInline var first: UInt32
  @usableFromInline var slots: UInt32
  @usableFromInline var length: UInt32
  /// Where its copy begins.
  @usableFromInline var copy: UInt64
  @usableFromInline var offloads: FrameOffloads

  @inlinable
  init(_ pass: TransmitPass, length: UInt32, copy: UInt64) {
    taken = pass.taken
    first = pass.tail
    slots = pass.staged.slots
    self.length = length
    self.copy = copy
    offloads = pass.staged.offloads
  }
}
