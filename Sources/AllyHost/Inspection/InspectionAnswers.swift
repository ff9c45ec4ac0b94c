internal import AllyPacket

/// What an inspector made besides its verdict, on its way through the area: a count, then for each frame a header of 16 bytes and
/// its bytes, each at a multiple of 16.
///
/// The inspector writes; the interceptor takes all of it for hostile.
enum InspectionAnswers {
  private enum Kind: UInt32 {
    case replacement = 0
    case towardsOS = 1
    case towardsWire = 2
  }

  private struct Header: BitwiseCopyable {
    var kind: UInt32
    var length: UInt32
    var vlan: UInt16
    var flags: UInt16
    var unused: UInt32 = 0
  }

  /// No inspector makes more frames about one; their bytes are bounded by the area.
  private static var mostFrames: UInt32 { 8192 }
  /// A frame has its link header at least.
  private static var shortestFrame: Int { 14 }

  private static func rounded(_ length: Int) -> Int { (length + 15) & ~15 }

  // MARK: - The inspector's side

  /// Writes down what `answers` holds, and empties it.
  ///
  /// - Returns: whether there is anything.
  static func write(
    _ answers: borrowing FrameAnswers, isReplaced: Bool, into area: UnsafeMutableRawBufferPointer
  ) -> Bool {
    var count: UInt32 = 0
    var place = 16
    if isReplaced, answers.replacementLength > 0, let bytes = unsafe answers.replacement {
      let frame = unsafe UnsafeRawBufferPointer(start: bytes, count: answers.replacementLength)
      unsafe append(frame, .replacement, answers.replacementOffloads, area, &place, &count)
    }
    for (kind, outbox) in [(Kind.towardsOS, answers.towardsOS), (.towardsWire, answers.towardsWire)] {
      while !outbox.isEmpty {
        _ = outbox.withFirst { bytes, offloads in
          unsafe bytes.withUnsafeBytes { unsafe append($0, kind, offloads, area, &place, &count) }
        }
        outbox.removeFirst()
      }
    }
    guard count > 0 else { return false }
    unsafe area.storeBytes(of: count, as: UInt32.self)
    return true
  }

  @unsafe
  private static func append(
    _ frame: UnsafeRawBufferPointer, _ kind: Kind, _ offloads: FrameOffloads, _ area: UnsafeMutableRawBufferPointer,
    _ place: inout Int, _ count: inout UInt32
  ) {
    let length = frame.count
    // The outboxes and a replacement are less than the area.
    guard length > 0, place + 16 + rounded(length) <= area.count, count < mostFrames else { return }
    let header = Header(
      kind: kind.rawValue, length: UInt32(truncatingIfNeeded: length), vlan: offloads.vlan ?? 0,
      flags: UInt16(offloads.flags))
    unsafe area.storeBytes(of: header, toByteOffset: place, as: Header.self)
    unsafe UnsafeMutableRawBufferPointer(rebasing: area[(place + 16)..<(place + 16 + length)]).copyMemory(from: frame)
    place += 16 + rounded(length)
    count += 1
  }

  // MARK: - The interceptor's side

  /// Gives the answers to a frame on.
  ///
  /// Bytes are copied before anything looks at them; they may be anything, and change meanwhile.
  ///
  /// - Returns: whether the frame has a replacement now, and how many answers could not be carried out.
  static func read(
    from area: UnsafeRawBufferPointer, about packet: borrowing Packet, into answers: inout FrameAnswers
  ) -> (isReplaced: Bool, refused: UInt64) {
    let count = unsafe min(area.load(as: UInt32.self), mostFrames)
    var place = 16
    var isReplaced = false
    var refused: UInt64 = 0
    for _ in 0..<count {
      guard place + 16 <= area.count else { return (isReplaced, refused + 1) }
      let header = unsafe area.load(fromByteOffset: place, as: Header.self)
      let length = Int(header.length)
      guard length <= area.count - place - 16, let kind = Kind(rawValue: header.kind) else {
        return (isReplaced, refused + 1)
      }
      let frame = unsafe UnsafeRawBufferPointer(rebasing: area[(place + 16)..<(place + 16 + length)]).bytes
      let offloads = FrameOffloads(flags: UInt8(truncatingIfNeeded: header.flags), vlan: header.vlan)
      let isGood: Bool
      switch kind {
      case _ where length < shortestFrame: isGood = false
      case .replacement:
        isGood = answers.replace(packet, with: frame, offloads: offloads)
        isReplaced = isGood
      case .towardsOS: isGood = answers.inject(frame, towards: .receive, offloads: offloads)
      case .towardsWire: isGood = answers.inject(frame, towards: .transmit)
      }
      if !isGood { refused += 1 }
      place += 16 + rounded(length)
    }
    return (isReplaced, refused)
  }
}
