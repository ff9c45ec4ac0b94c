internal import AllyPacket
internal import AllyTools
internal import Glibc

/// Writes seeds that are made from the demonstration; those written by hand lie beside them.
struct CorpusMaker {
  let folder: String

  private static let capture = "Examples/Demo/demo.pcap"
  /// Ports whose conversations differ in what they carry; a scan of all the others would give a seed for each.
  private static let services: Set<UInt16> = [21, 22, 25, 53, 69, 80, 161]
  /// Frames of one conversation that a seed holds at most.
  private static let mostFrames = 10

  func make() throws {
    try makeFrameSeeds()
    try makeRuleSeeds()
    try write(Self.ringSteps(choice: 0), to: "rings/in-place")
    try write(Self.ringSteps(choice: 1), to: "rings/copied")
    try write(Self.ringSteps(choice: 3), to: "rings/copied-drop")
    // Every answer there is, in place and copied, to frames that pass otherwise and to frames that do not.
    let script: [UInt8] = [0, 0xF9, 2, 0x4B, 4, 12, 5, 6]
    for choice in 4...7 as ClosedRange<UInt8> {
      try write(Self.ringSteps(choice: choice, script: script), to: "rings/answers-\(choice)")
    }
    for choice in 8..<12 as Range<UInt8> { try write(Self.byteRingSteps(choice: choice), to: "rings/bytes-\(choice)") }
    try write(Self.deviceSteps, to: "device/both-ways")
    try copy("Examples/Demo/demo.nft", to: "policy/demo.nft")
    try copy("Configuration/ally.yaml", to: "settings/ally.yaml")
  }

  /// A seed for the first conversation of each kind, for both targets that read frames, and as a capture.
  private func makeFrameSeeds() throws {
    var conversations: [String: (name: String, frames: [UInt8], capture: [UInt8], count: Int)] = [:]
    var kinds: Set<String> = []
    var reader = try CaptureReader(path: Self.capture)
    while reader.advance() {
      let packet = Packet(bytes: reader.bytes, stamp: reader.stamp, direction: .receive)
      let layers = PacketLayers(of: packet)
      let port = min(layers.sourcePort, layers.destinationPort)
      let isForward = layers.destinationPort <= layers.sourcePort
      let other = max(layers.sourcePort, layers.destinationPort)
      let conversation = "\(layers.network) \(layers.ipProtocol.rawValue) \(port) \(other)"
      let kind =
        "\(layers.network)-\(layers.ipProtocol.rawValue)" + (Self.services.contains(port) ? "-\(port)" : "")
        + (layers.fragment.isFragment ? "-fragments" : "")
        + (layers.hasTransport && port == 0 ? "-\(layers.icmpType)" : "")
      if conversations[conversation] == nil {
        guard kinds.insert(kind).inserted else { continue }
        conversations[conversation] = (kind, [], [], 0)
      }
      guard let soFar = conversations[conversation], soFar.count < Self.mostFrames else { continue }
      let bytes = unsafe packet.bytes.withUnsafeBytes { unsafe Array($0) }
      conversations[conversation]?.count += 1
      conversations[conversation]?.frames += FrameList.encode(
        bytes, timeStep: 20, linkType: packet.stamp.linkType, direction: isForward ? .receive : .transmit)
      if soFar.count < 2 { conversations[conversation]?.capture += Self.record(bytes) }
    }
    for (name, frames, capture, _) in conversations.values where frames.count < 8000 {
      try write([0] + frames, to: "frames/\(name)")
      try write([0] + frames, to: "firewall/\(name)")
      if name.hasSuffix("53") || name.hasSuffix("fragments") {
        try write(Self.captureHeader + capture, to: "capture/\(name).pcap")
      }
    }
  }

  /// The header of a pcap file: version 2.4, microseconds, Ethernet.
  private static let captureHeader: [UInt8] =
    little(0xA1B2_C3D4) + [2, 0, 4, 0] + little(0) + little(0) + little(65_535) + little(1)

  private static func record(_ frame: [UInt8]) -> [UInt8] {
    little(1_700_000_000) + little(0) + little(UInt32(frame.count)) + little(UInt32(frame.count)) + frame
  }

  private static func little(_ value: UInt32) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
  }

  /// Four rules a seed.
  private func makeRuleSeeds() throws {
    let text = try FileSystem.contents(of: "Examples/Demo/demo.rules")
    let rules = text.split(separator: UInt8(ascii: "\n")).filter { $0.first != UInt8(ascii: "#") }
    for start in stride(from: 0, to: rules.count, by: 4) {
      let seed = rules[start..<min(start + 4, rules.count)].joined(separator: [UInt8(ascii: "\n")])
      try write(Array(seed), to: "rules/demo-\(start / 4)")
    }
  }

  /// A well-behaved driver, as ``RingsTarget`` spells it: both rings set up, frames received, one sent.
  private static func ringSteps(choice: UInt8, script: [UInt8] = []) -> [UInt8] {
    let send: [UInt8] = [64, 0, 0, 0x0B, 0, 0, 0, 0]
    let transmitRing: [UInt8] = [0, 2, 0x40, 0, 0, 0, 0, 0]
    var steps: [UInt8] = [choice]
    if let last = script.indices.last { steps += [UInt8(last)] + script }
    for slot in 0..<8 as Range<UInt8> { steps += [2, slot, 1 + slot % 2] + [UInt8](repeating: 0, count: 8) }
    steps += [0, 14, 0, 0, 15, 15, 0, 16, 6, 0, 17, 15, 0, 18, 15, 0, 11, 8, 0, 9, 9, 0, 18, 128, 6]
    steps += [4, 10, 4, 100, 5, 15, 6, 7, 5, 15, 6, 7]
    steps += [2, 32, 1] + send + [2, 33, 2] + send
    steps += [0, 20, 192] + transmitRing + [0, 21, 15, 0, 22, 6, 0, 12, 128, 10, 0, 24, 128, 2, 6, 5, 15, 6, 7]
    return steps + [8, 18, 128, 7, 1, 18, 6]
  }

  /// A well-behaved driver, as ``ByteRingSteps`` spells it: frames received and read, two sent.
  private static func byteRingSteps(choice: UInt8) -> [UInt8] {
    var steps: [UInt8] = [choice, 3, choice & 3, 4, 10, 4, 200, 5, 15, 6, 2, 0x37, 0]
    // CAPR behind the first; causes are acknowledged.
    steps += [0, 10, 128, 76, 1, 12, 13]
    // TSAD and TSD of the first two descriptors.
    steps += [0, 4, 1, 0, 0, 6, 0, 5, 17, 0, 1, 6, 6, 5, 15, 6, 2, 0x10, 2]
    // Another filter, a restart of the receiver, and frames again.
    return steps + [0, 14, 10, 6, 0, 9, 15, 0, 9, 8, 4, 30, 5, 15, 6]
  }

  /// A well-behaved driver, as ``DeviceTarget`` spells it.
  private static var deviceSteps: [UInt8] {
    let send: [UInt8] = [64, 0, 0, 0x0B, 0, 0, 0, 0]
    var steps: [UInt8] = [0]
    for slot in 0..<8 as Range<UInt8> { steps += [3, slot, 1] + [UInt8](repeating: 0, count: 8) }
    steps += [0, 14, 0, 0, 16, 5, 0, 18, 128] + little(7) + [0, 11, 7, 0, 9, 128] + little(0xFF)
    steps += [5, 0xAA, 60, 3, 1, 2, 3, 5, 0xBB, 255, 0, 8]
    steps += [3, 16, 1] + send + [3, 17, 2] + send
    steps += [0, 20, 128] + little(0x1100) + [0, 22, 5, 0, 12, 128] + little(0x0A) + [0, 24, 128] + little(2) + [8]
    // An EEPROM read, a PHY read, the ports, a wide read.
    steps +=
      [0, 3, 128] + little(1) + [0, 4, 128] + little(0x0821_0000) + [2, 0] + little(0xC0) + [2, 4] + little(1)
    return steps + [1, 3, 0, 0x14, 1]
  }

  private func copy(_ path: String, to name: String) throws {
    try write(try FileSystem.contents(of: path), to: name)
  }

  private func write(_ bytes: [UInt8], to name: String) throws {
    let path = folder + "/" + name
    try FileSystem.makeFolder(FileSystem.folder(of: path))
    let file = unsafe fopen(path, "wb")
    guard let file = unsafe file, unsafe fwrite(bytes, 1, bytes.count, file) == bytes.count, unsafe fclose(file) == 0
    else { throw CommandFailure(.cannotWrite, "cannot write \(path)") }
  }
}
