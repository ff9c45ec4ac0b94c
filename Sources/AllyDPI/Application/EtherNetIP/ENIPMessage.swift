/// A message, and the requests of CIP that it carries (CIP volume 2 §2-3, volume 1 §2-4).
struct ENIPMessage {
  /// A request, by what it asks for.
  struct Request {
    var service: UInt8
    var classNumber: UInt16?
    /// Of the path, or of a list of attributes.
    var attributes: [UInt16] = []

    func matches(_ wanted: CIPService) -> Bool {
      guard wanted.service == service else { return false }
      if let number = wanted.classNumber, number != classNumber { return false }
      return wanted.attribute.map { attributes.contains($0) } ?? true
    }
  }

  var command: UInt16
  private(set) var requests: [Request] = []

  static var headerLength: Int { 24 }
  /// Requests of one message that are read, those in a bundle too.
  private static var mostRequests: Int { 64 }
  private static var mostAttributes: Int { 64 }
  /// Bundles within each other.
  private static var deepest: Int { 3 }

  /// Of the message that begins here; nil when its head is not there.
  static func length(_ bytes: ArraySlice<UInt8>) -> Int? {
    guard bytes.count >= headerLength else { return nil }
    var reader = ByteReader(bytes)
    return reader.skip(2) ? reader.littleU16().map { headerLength + Int($0) } : nil
  }

  init(_ bytes: ArraySlice<UInt8>) {
    var reader = ByteReader(bytes)
    command = reader.littleU16() ?? 0
    // SendRRData and SendUnitData.
    guard command == 0x6F || command == 0x70, reader.skip(ENIPMessage.headerLength - 2 + 6),
      let count = reader.littleU16()
    else { return }
    for _ in 0..<min(count, 16) {
      guard let type = reader.littleU16(), let length = reader.littleU16(), let item = reader.take(Int(length)) else {
        return
      }
      switch type {
      case 0xB1: readRequest(item.dropFirst(2), depth: 0)
      case 0xB2: readRequest(item, depth: 0)
      default: break
      }
    }
  }

  private mutating func readRequest(_ bytes: ArraySlice<UInt8>, depth: Int) {
    var reader = ByteReader(bytes)
    // The upper bit marks a response.
    guard requests.count < ENIPMessage.mostRequests, let service = reader.u8(), service & 0x80 == 0,
      let words = reader.u8()
    else { return }
    var request = Request(service: service)
    guard let path = reader.take(Int(words) * 2) else {
      requests.append(request)
      return
    }
    request.readPath(path)
    // Get_Attribute_List and Set_Attribute_List.
    if service == 3 || service == 4, let count = reader.littleU16() {
      for _ in 0..<min(Int(count), ENIPMessage.mostAttributes) {
        guard let attribute = reader.littleU16() else { break }
        request.attributes.append(attribute)
      }
    }
    requests.append(request)
    // Multiple_Service_Packet: offsets from here on.
    guard service == 0x0A, depth < ENIPMessage.deepest else { return }
    let bundle = reader.rest
    guard let count = reader.littleU16() else { return }
    for _ in 0..<min(Int(count), ENIPMessage.mostRequests) {
      guard let offset = reader.littleU16(), Int(offset) < bundle.count else { return }
      readRequest(bundle.dropFirst(Int(offset)), depth: depth + 1)
    }
  }
}

extension ENIPMessage.Request {
  /// Logical segments (CIP volume 1 §C-1.4): classes, instances and attributes of one or two bytes.
  fileprivate mutating func readPath(_ path: ArraySlice<UInt8>) {
    var reader = ByteReader(path)
    while let kind = reader.u8() {
      guard kind & 0xE0 == 0x20, kind & 3 < 2 else { return }
      let value = kind & 3 == 0 ? reader.u8().map { UInt16($0) } : reader.skip(1) ? reader.littleU16() : nil
      guard let value else { return }
      switch kind & 0xFC {
      case 0x20: classNumber = value
      case 0x30: attributes.append(value)
      default: break
      }
    }
  }
}
