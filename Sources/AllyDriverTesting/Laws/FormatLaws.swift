internal import AllyHW
internal import AllyRings

/// The laws about descriptors alone: formats and vectors.
struct FormatChecks<Driver: NICDriver> {
  let seed: UInt64
  private(set) var failures: [LawFailure] = []
  private var random: SeededGenerator

  init(seed: UInt64) {
    self.seed = seed
    random = SeededGenerator(seed: seed)
  }

  private mutating func fail(_ law: Law, _ sentence: String) {
    guard !failures.contains(where: { $0.law == law }) else { return }
    failures.append(LawFailure(law: law, sentence: sentence, seed: seed))
  }

  mutating func checkFormats() {
    receive(Driver.OSReceive.self, "the OS's receive descriptor")
    receive(Driver.NICReceive.self, "the NIC's receive descriptor")
    transmit(Driver.OSTransmit.self, "the OS's transmit descriptor")
    transmit(Driver.NICTransmit.self, "the NIC's transmit descriptor")
  }

  private mutating func layout<Format: Descriptor>(_ format: Format.Type, _ name: String) {
    let size = MemoryLayout<Format>.size
    if size != MemoryLayout<Format>.stride || size % 8 != 0 || size == 0 {
      fail(.formats, "\(name) has \(size) bytes; expected a multiple of 8, without padding")
    } else if Format.ownershipWordOffset % 8 != 0 || !(0..<size).contains(Format.ownershipWordOffset) {
      fail(.formats, "\(name) has its ownership word at \(Format.ownershipWordOffset), of \(size) bytes")
    }
  }

  private mutating func receive<Format: ReceiveDescriptor>(_ format: Format.Type, _ name: String) {
    layout(format, name)
    for _ in 0..<2000 {
      let buffer = BusAddress(random.next() & 0x000F_FFFF_FFFF_F000)
      let offered = Format(offering: buffer)
      if offered.isCompleted || offered.offeredBuffer != buffer || offered.endingLength != nil {
        fail(.formats, "\(name) that offers \(buffer) is completed, or offers \(offered.offeredBuffer)")
      }
      let length = UInt32.random(in: 1...16383, using: &random)
      let ends = Bool.random(using: &random)
      let made = Format(ReceiveCompletion(length: length, endsFrame: ends), buffer: buffer)
      if !made.isCompleted || made.endsFrame != ends || made.completedLength != length
        || made.endingLength != (ends ? length : nil)
      {
        fail(.formats, "\(name) completed with \(length) bytes says \(made.completedLength), end \(made.endsFrame)")
      }
      if made.completion.length != length || made.completion.endsFrame != ends || made.completion.isDamaged {
        fail(.formats, "\(name) completed with \(length) bytes carries over \(made.completion)")
      }
    }
    for _ in 0..<2000 {
      // Any bits are a descriptor.
      let descriptor: Format = randomBits()
      let said = descriptor.isCompleted && descriptor.endsFrame ? descriptor.completedLength : nil
      if descriptor.endingLength != said { fail(.formats, "\(name): endingLength is not what its parts say") }
      _ = (descriptor.completion, descriptor.offeredBuffer, descriptor.offloads)
    }
  }

  private mutating func transmit<Format: TransmitDescriptor>(_ format: Format.Type, _ name: String) {
    layout(format, name)
    for _ in 0..<2000 {
      let request = TransmitRequest(
        buffer: BusAddress(random.next() & 0x000F_FFFF_FFFF_FFFF),
        length: UInt32.random(in: 1...min(16383, Format.maximumPlainFrameLength), using: &random),
        endsFrame: Bool.random(using: &random), reportsCompletion: Bool.random(using: &random))
      guard var made = Format(request) else {
        fail(.formats, "\(name) cannot say \(request)")
        continue
      }
      if made.request != request { fail(.formats, "\(name) made of \(request) says \(made.request)") }
      if made.isCompleted { fail(.formats, "\(name) is completed when it is posted") }
      made.isCompleted = true
      if !made.isCompleted || made.plainFrameLength != nil {
        fail(.formats, "\(name) that is completed does not say so, or still counts as a plain frame")
      }
      made.reportsCompletion = true
      if !made.reportsCompletion { fail(.formats, "\(name) does not ask for a report when told to") }
    }
    for _ in 0..<2000 {
      let descriptor: Format = randomBits()
      if let plain = descriptor.plainFrameLength {
        if descriptor.kind != .segment || !descriptor.endsFrame || descriptor.isCompleted || plain != descriptor.length
          || plain == 0 || plain > Format.maximumPlainFrameLength
        {
          fail(.formats, "\(name): plainFrameLength is \(plain) for a descriptor that is no plain frame of that length")
        }
      }
      _ = descriptor.request
    }
  }

  private mutating func randomBits<Format: Descriptor>() -> Format {
    let bytes = (0..<MemoryLayout<Format>.size).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    return Self.descriptor(of: bytes)
  }

  /// - Precondition: there are as many bytes as the format has.
  private static func descriptor<Format: Descriptor>(of bytes: [UInt8]) -> Format {
    precondition(bytes.count == MemoryLayout<Format>.size)
    // As many bytes as the type has, and it is BitwiseCopyable.
    return unsafe bytes.withUnsafeBytes { unsafe $0.loadUnaligned(as: Format.self) }
  }

  mutating func check(_ vectors: DatasheetVectors) {
    if vectors.receive.isEmpty || vectors.transmit.isEmpty { fail(.vectors, "no vectors for one of the directions") }
    for vector in vectors.receive {
      guard vector.bytes.count == MemoryLayout<Driver.NICReceive>.size else {
        fail(.vectors, "receive, \(vector.name): \(vector.bytes.count) bytes")
        continue
      }
      let descriptor: Driver.NICReceive = Self.descriptor(of: vector.bytes)
      if descriptor.isCompleted != vector.isCompleted {
        fail(.vectors, "receive, \(vector.name): completed \(descriptor.isCompleted)")
      } else if vector.isCompleted, descriptor.completion != vector.completion {
        fail(.vectors, "receive, \(vector.name): \(descriptor.completion), expected \(vector.completion)")
      }
    }
    for vector in vectors.transmit {
      guard vector.bytes.count == MemoryLayout<Driver.OSTransmit>.size else {
        fail(.vectors, "transmit, \(vector.name): \(vector.bytes.count) bytes")
        continue
      }
      let descriptor: Driver.OSTransmit = Self.descriptor(of: vector.bytes)
      if descriptor.isCompleted != vector.isCompleted || descriptor.request != vector.request {
        fail(.vectors, "transmit, \(vector.name): \(descriptor.request), expected \(vector.request)")
      }
    }
  }
}
