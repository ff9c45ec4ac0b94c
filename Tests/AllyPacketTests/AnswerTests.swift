import AllyPacket
import Testing

/// What inspectors hand back: frames that they edit, make and queue.
@Suite struct AnswerTests {
  // MARK: - Rejections

  /// Makes the frame that tells an endpoint; empty when there is none.
  private func rejection(
    _ rejection: Rejection, of frame: [UInt8], telling endpoint: RejectedEndpoint = .sender, room: Int = 2048
  ) -> [UInt8] {
    var buffer = [UInt8](repeating: 0xCC, count: room)
    let packet = unsafe Packet(bytes: frame.span.bytes, stamp: FrameStamp(), direction: .receive)
    var span = buffer.mutableSpan
    let length = rejection.frame(about: packet, telling: endpoint, into: &span)
    return Array(buffer.prefix(length))
  }

  private func isIPv4ChecksumRight(_ frame: [UInt8], at start: Int = 14) -> Bool {
    var sum = InternetChecksum()
    unsafe sum.add(frame.span.bytes, from: start, to: start + 20)
    return sum.folded == 0xFFFF
  }

  private func isTransportChecksumRight(_ frame: [UInt8]) -> Bool {
    let layers = unsafe PacketLayers(of: frame.span.bytes, linkType: .ethernet)
    var sum = InternetChecksum()
    if layers.ipProtocol != .icmp {
      sum.add(layers.source)
      sum.add(layers.destination)
      sum.add(UInt16(layers.ipProtocol.rawValue))
      sum.add(UInt16(layers.endOffset - layers.transportOffset))
    }
    unsafe sum.add(frame.span.bytes, from: Int(layers.transportOffset), to: Int(layers.endOffset))
    return sum.folded == 0xFFFF
  }

  @Test func aSegmentWithAcknowledgmentIsResetAtItsNumber() {
    // Sequence 9, acknowledgment 8, SYN and ACK.
    let frame = SampleFrames.ethernet(0x0800, SampleFrames.ipv4(6, SampleFrames.tcp([1, 2, 3])))
    let reset = rejection(.tcpReset, of: frame)
    #expect(reset.count == 54)
    #expect(Array(reset[0..<12]) == [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1])
    #expect(Array(reset[26..<34]) == [198, 51, 100, 7, 192, 0, 2, 1])
    #expect(Array(reset[34..<38]) == SampleFrames.word(443) + SampleFrames.word(40_000))
    #expect(Array(reset[38..<48]) == [0, 0, 0, 8, 0, 0, 0, 0, 0x50, 0x04])
    #expect(isIPv4ChecksumRight(reset) && isTransportChecksumRight(reset))
    // The receiver hears of it as if the sender had given up.
    let other = rejection(.tcpReset, of: frame, telling: .receiver)
    #expect(Array(other[26..<34]) == [192, 0, 2, 1, 198, 51, 100, 7])
    #expect(Array(other[38..<48]) == [0, 0, 0, 9, 0, 0, 0, 8, 0x50, 0x14])
    #expect(isIPv4ChecksumRight(other) && isTransportChecksumRight(other))
  }

  @Test func aSegmentWithoutAcknowledgmentIsAcknowledged() {
    var segment = SampleFrames.tcp([1, 2, 3])
    segment[13] = 0x02
    let reset = rejection(.tcpReset, of: SampleFrames.ethernet(0x86DD, SampleFrames.ipv6(6, segment)))
    #expect(reset.count == 14 + 40 + 20)
    // Three bytes and the SYN behind sequence number 9.
    #expect(Array(reset[58..<68]) == [0, 0, 0, 0, 0, 0, 0, 13, 0x50, 0x14])
    #expect(isTransportChecksumRight(reset))
  }

  @Test func anUnreachableQuotesThePacket() {
    let ip = SampleFrames.ipv4(17, SampleFrames.udp([7, 7]))
    let frame = SampleFrames.ethernet(0x0800, tags: [(0x8100, 0x2064)], ip)
    let error = rejection(.icmp(code: 3), of: frame)
    #expect(Array(error[12..<18]) == [0x81, 0, 0x20, 0x64, 8, 0])
    #expect(Array(error[38..<40]) == [3, 3])
    #expect(Array(error[46...]) == ip)
    #expect(isIPv4ChecksumRight(error, at: 18) && isTransportChecksumRight(error))
    let ip6 = SampleFrames.ipv6(17, SampleFrames.udp([UInt8](repeating: 1, count: 3000)))
    let error6 = rejection(.icmpx(icmpCode: 3, icmpv6Code: 4), of: SampleFrames.ethernet(0x86DD, ip6))
    #expect(error6.count == 14 + 1280, "no longer than the minimum MTU")
    #expect(Array(error6[54..<56]) == [1, 4])
    #expect(isTransportChecksumRight(error6))
  }

  @Test func someThingsAreNotAnswered() {
    var reset = SampleFrames.tcp()
    reset[13] = 0x04
    #expect(rejection(.tcpReset, of: SampleFrames.ethernet(0x0800, SampleFrames.ipv4(6, reset))).isEmpty)
    let udp = SampleFrames.ethernet(0x0800, SampleFrames.ipv4(17, SampleFrames.udp()))
    #expect(rejection(.tcpReset, of: udp).isEmpty)
    let error = SampleFrames.ipv4(1, SampleFrames.icmp(type: 3))
    #expect(rejection(.icmp(code: 3), of: SampleFrames.ethernet(0x0800, error)).isEmpty)
    let later = SampleFrames.ipv4(17, flagsAndOffset: 5, SampleFrames.udp())
    #expect(rejection(.icmp(code: 3), of: SampleFrames.ethernet(0x0800, later)).isEmpty)
    var broadcast = udp
    for index in 0..<6 { broadcast[index] = 0xFF }
    #expect(rejection(.icmp(code: 3), of: broadcast).isEmpty)
    var multicast = udp
    multicast[30] = 224
    #expect(rejection(.icmp(code: 3), of: multicast).isEmpty)
    #expect(rejection(.icmp(code: 3), of: udp, room: 40).isEmpty)
    #expect(rejection(.icmpv6(code: 1), of: udp).isEmpty)
  }

  @Test(arguments: 0..<SampleFrames.all.count)
  func whateverIsRejectedAtAnyLength(sample: Int) {
    let whole = SampleFrames.all[sample].bytes
    for length in 0...whole.count {
      for kind in [Rejection.tcpReset, .icmpx(icmpCode: 3, icmpv6Code: 4)] {
        let frame = rejection(kind, of: Array(whole.prefix(length)))
        guard !frame.isEmpty else { continue }
        #expect(isTransportChecksumRight(frame))
      }
    }
  }

  // MARK: - Editing

  /// Replaces a packet and returns the replacement.
  private func replaced(
    _ frame: [UInt8], direction: Direction = .receive, offloads: FrameOffloads = .none,
    _ edit: (inout EditablePacket) -> Void
  ) -> [UInt8]? {
    var scratch = [UInt8](repeating: 0, count: 4096)
    return unsafe scratch.withUnsafeMutableBytes { memory -> [UInt8]? in
      var answers = unsafe FrameAnswers(
        scratch: memory.baseAddress!, capacity: 4000, towardsOS: FrameOutbox(), towardsWire: FrameOutbox())
      let packet = unsafe Packet(
        bytes: frame.span.bytes, stamp: FrameStamp(), direction: direction, offloads: offloads)
      guard answers.replace(packet, edit) else { return nil }
      return unsafe Array(UnsafeRawBufferPointer(start: answers.replacement, count: answers.replacementLength))
    }
  }

  @Test func lengthsAndChecksumsFollowTheEdit() throws {
    let more: [UInt8] = [9, 8, 7, 6, 5]
    for ip in [
      SampleFrames.ipv4(6, SampleFrames.tcp([1, 2, 3])), SampleFrames.ipv4(17, SampleFrames.udp([1, 2, 3])),
    ] {
      var frame = SampleFrames.ethernet(0x0800, ip)
      if ip[9] == 17 { frame[40] = 0xAB }
      let grown = try #require(
        replaced(frame) { _ = unsafe $0.replaceSubrange($0.count..<$0.count, with: more.span.bytes) })
      #expect(grown.count == frame.count + 5)
      #expect(UInt16(grown[16]) << 8 | UInt16(grown[17]) == UInt16(ip.count + 5))
      #expect(isIPv4ChecksumRight(grown) && isTransportChecksumRight(grown))
      let shrunk = try #require(
        replaced(frame) { _ = unsafe $0.replaceSubrange(($0.count - 2)..<$0.count, with: [UInt8]().span.bytes) })
      #expect(shrunk.count == frame.count - 2)
      #expect(isIPv4ChecksumRight(shrunk) && isTransportChecksumRight(shrunk))
    }
    let frame = SampleFrames.ethernet(0x86DD, SampleFrames.ipv6(17, SampleFrames.udp([1, 2, 3])))
    let grown = try #require(
      replaced(frame) { _ = unsafe $0.replaceSubrange($0.count..<$0.count, with: more.span.bytes) })
    #expect(Array(grown[18..<20]) == SampleFrames.word(16) && Array(grown[58..<60]) == SampleFrames.word(16))
    #expect(isTransportChecksumRight(grown))
  }

  @Test func whatTheNICWasToDoIsDone() throws {
    let frame = SampleFrames.ethernet(0x0800, SampleFrames.ipv4(6, SampleFrames.tcp([1, 2, 3])))
    let sent = try #require(
      replaced(frame, direction: .transmit, offloads: FrameOffloads(vlan: 0x2064, transportChecksum: true)) { _ in })
    #expect(Array(sent[12..<18]) == [0x81, 0, 0x20, 0x64, 8, 0])
    #expect(isTransportChecksumRight(sent))
    #expect(
      replaced(frame, direction: .transmit, offloads: FrameOffloads(segmentSize: 1448, headerLength: 54)) { _ in }
        == nil, "a frame to be segmented")
  }

  @Test func editsStayWithinTheFrame() {
    let bytes: [UInt8] = [1, 2, 3, 4]
    var outcomes: [Bool] = []
    let frame = replaced(Array(0..<60)) { packet in
      outcomes.append(unsafe packet.replaceSubrange(59..<61, with: bytes.span.bytes))
      // Not empty, and not longer than there is room for.
      outcomes.append(unsafe packet.replaceSubrange(0..<60, with: [UInt8]().span.bytes))
      outcomes.append(unsafe packet.replaceSubrange(0..<0, with: [UInt8](repeating: 0, count: 4000).span.bytes))
      outcomes.append(packet.store(1, at: 59))
      packet[3] = 99
    }
    #expect(outcomes == [false, false, false, false])
    #expect(frame == (0..<60).map { $0 == 3 ? 99 : UInt8($0) })
    var none = FrameAnswers()
    let packet = unsafe Packet(bytes: bytes.span.bytes, stamp: FrameStamp(), direction: .receive)
    let isReplaced = none.replace(packet) { _ in }
    let isInjected = unsafe none.inject(bytes.span.bytes, towards: .transmit)
    #expect(!isReplaced && !isInjected)
  }

  // MARK: - Outbox

  @Test func anOutboxKeepsFramesInOrder() {
    var memory = [UInt64](repeating: 0, count: 64)
    unsafe memory.withUnsafeMutableBytes { bytes in
      let outbox = unsafe FrameOutbox(storage: bytes.baseAddress!, length: bytes.count)
      #expect(outbox.isEmpty)
      for round in 0..<5 as Range<UInt8> {
        var taken: [[UInt8]] = []
        var put: [[UInt8]] = []
        while true {
          let frame = [UInt8](repeating: UInt8(put.count) + round, count: 60 + put.count)
          guard unsafe outbox.append(frame.span.bytes, offloads: FrameOffloads(vlan: 5)) else { break }
          put.append(frame)
        }
        #expect(put.count == 6, "of 512 bytes")
        let copy = outbox
        while let frame = copy.withFirst({ bytes, offloads in
          #expect(offloads == FrameOffloads(vlan: 5))
          return unsafe bytes.withUnsafeBytes { unsafe Array($0) }
        }) {
          taken.append(frame)
          outbox.removeFirst()
        }
        #expect(taken == put)
      }
      unsafe #expect(!outbox.append([UInt8]().span.bytes))
      unsafe #expect(!outbox.append([UInt8](repeating: 0, count: 1000).span.bytes))
    }
  }

  @Test func theFrameCheckSequenceIsTheStandards() {
    let digits = Array("123456789".utf8)
    #expect(unsafe FrameCheckSequence.of(digits.span.bytes) == 0xCBF4_3926)
  }
}
