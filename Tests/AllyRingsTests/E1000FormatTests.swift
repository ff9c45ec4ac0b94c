import AllyDrivers
import AllyHW
import AllyRings
import Testing

/// The 8254x's descriptor formats against vectors that were put together by hand from the datasheet.
@Suite struct E1000FormatTests {
  private static func words(_ bytes: [UInt8]) -> (UInt64, UInt64) {
    func word(_ first: Int) -> UInt64 {
      (0..<8).reduce(0) { $0 | UInt64(bytes[first + $1]) << UInt64(8 * $1) }
    }
    return (word(0), word(8))
  }

  @Test(arguments: E1000Vectors.receive.indices)
  func receiveDescriptorsReadAsTheDatasheetHasThem(_ index: Int) {
    let vector = E1000Vectors.receive[index]
    #expect(vector.bytes.count == MemoryLayout<E1000ReceiveDescriptor>.size)
    let (address, fields) = Self.words(vector.bytes)
    let descriptor = E1000ReceiveDescriptor(address: address, fields: fields)
    #expect(descriptor.isCompleted == vector.isCompleted, "\(vector.name)")
    #expect(descriptor.completion == vector.completion, "\(vector.name)")
    #expect(descriptor.offeredBuffer.rawValue == 0x00BA_9876_5432_1000)
    let whole = vector.isCompleted && vector.completion.endsFrame
    #expect(descriptor.endingLength == (whole ? vector.completion.length : nil), "\(vector.name)")
    if vector.isCompleted {
      let again = E1000ReceiveDescriptor(vector.completion, buffer: BusAddress(address))
      #expect(again.isCompleted && again.completion == vector.completion, "\(vector.name)")
    }
  }

  @Test(arguments: E1000Vectors.transmit.indices)
  func transmitDescriptorsReadAsTheDatasheetHasThem(_ index: Int) {
    let vector = E1000Vectors.transmit[index]
    #expect(vector.bytes.count == MemoryLayout<E1000TransmitDescriptor>.size)
    let (address, fields) = Self.words(vector.bytes)
    var descriptor = E1000TransmitDescriptor(address: address, fields: fields)
    #expect(descriptor.isCompleted == vector.isCompleted, "\(vector.name)")
    #expect(descriptor.request.kind == vector.request.kind, "\(vector.name)")
    if vector.request.kind != .context { #expect(descriptor.request == vector.request, "\(vector.name)") }
    let isPlain =
      vector.name.hasPrefix("legacy") && vector.request.endsFrame && !vector.isCompleted
    #expect(descriptor.plainFrameLength == (isPlain ? vector.request.length : nil), "\(vector.name)")
    descriptor.isCompleted = true
    #expect(descriptor.fields == fields | 1 << 32)
  }

  /// Whatever the bits: the quick answers agree with the exact ones.
  @Test func quickAnswersAgreeWithExactOnes() {
    var random = SeededGenerator(seed: 42)
    for _ in 0..<20_000 {
      // Few of the bits that matter are set at once otherwise.
      let fields = UInt64.random(in: 0...(.max), using: &random) & UInt64.random(in: 0...(.max), using: &random)
      let transmit = E1000TransmitDescriptor(address: 0, fields: fields)
      let isExtended = fields & 1 << 29 != 0
      let isPlain = transmit.endsFrame && !isExtended && transmit.length > 0 && !transmit.isCompleted
      #expect(transmit.plainFrameLength == (isPlain ? transmit.length : nil), "fields \(fields)")
      let receive = E1000ReceiveDescriptor(address: 0, fields: fields)
      let isWhole = receive.isCompleted && receive.endsFrame
      #expect(receive.endingLength == (isWhole ? receive.completedLength : nil), "fields \(fields)")
    }
  }

  /// What stock drivers discard by: any of CE, SE, SEQ, CXE, RXE at the end of the packet.
  @Test func aDroppedDescriptorIsOneThatDriversDiscard() {
    var descriptor = E1000ReceiveDescriptor(address: 0x1000, fields: 0x2005_0063_ABCD_05EE)
    descriptor.markDropped()
    #expect(descriptor.isCompleted && descriptor.endsFrame && descriptor.completedLength == 1518)
    #expect(descriptor.completion.isDamaged)
    #expect(!descriptor.completion.ipChecksumIsGood && descriptor.completion.strippedVLAN == nil)
    #expect(descriptor.fields >> 16 & 0xFFFF == 0, "the packet checksum would tell about the contents")
    #expect(descriptor.address == 0x1000)
  }
}
