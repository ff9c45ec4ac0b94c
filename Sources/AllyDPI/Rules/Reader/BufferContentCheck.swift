/// What is known of a buffer's bytes, and so of the contents that can stand in it. Suricata says the same of each.
extension InspectionBuffer {
  private enum Letters { case lower, upper }

  /// Buffers that hold letters of one case only: contents are turned into that case.
  private var letters: Letters? {
    switch self {
    case .ja3Hash, .ja3sHash, .sshHassh, .sshHasshServer, .quicCYUHash, .tlsCertificateFingerprint: .lower
    case .tlsCertificateSerial: .upper
    default: nil
    }
  }

  /// The content as it must stand in the buffer to match.
  func normalized(_ content: ContentMatch) -> ContentMatch {
    guard let letters else { return content }
    var result = content
    result.bytes = content.bytes.map { byte in
      switch letters {
      case .lower: (0x41...0x5A).contains(byte) ? byte | 0x20 : byte
      case .upper: (0x61...0x7A).contains(byte) ? byte & ~0x20 : byte
      }
    }
    return result
  }

  /// Why a content can never stand in the buffer, or says more than it should; nil when all is well.
  func objection(to content: ContentMatch) -> String? {
    let bytes = content.bytes
    switch self {
    case .ja3Hash, .ja3sHash, .sshHassh, .sshHasshServer:
      return bytes.count == 32 ? nil : "expected the 32 digits of a hash, found \(bytes.count) bytes"
    case .quicCYUHash:
      guard bytes.count == 32, bytes.allSatisfy({ $0.hexDigit != nil }) else {
        return "expected the 32 hexadecimal digits of a hash"
      }
      return nil
    case .tlsCertificateFingerprint:
      let colons = bytes.enumerated().filter { $0.offset % 3 == 2 }
      guard bytes.count == 59, colons.allSatisfy({ $0.element == UInt8(ascii: ":") }) else {
        return "expected the 20 bytes of a fingerprint as digits in pairs with colons"
      }
      return nil
    case .tlsCertificateSerial:
      guard bytes.count < 3 || bytes.contains(UInt8(ascii: ":")) else {
        return "expected digits in pairs with colons: this never matches"
      }
      return nil
    case .httpHost:
      if content.isCaseless { return "expected no 'nocase': the host is in lower case already" }
      guard !bytes.contains(where: { (0x41...0x5A).contains($0) }) else {
        return "expected lower case: the host is in lower case, and this never matches"
      }
      return nil
    case .httpMethod:
      let blanks: [UInt8] = [0x20, 0x09]
      guard let first = bytes.first, let last = bytes.last, !blanks.contains(first), !blanks.contains(last) else {
        return "expected no blank at either end of a method: this never matches"
      }
      return nil
    default: return nil
    }
  }
}

extension BufferTransform {
  /// Why a content can never stand in what the transform leaves.
  func objection(to content: ContentMatch) -> String? {
    switch self {
    case .toLowercase where !content.isCaseless && content.bytes.contains { (0x41...0x5A).contains($0) }:
      "expected lower case behind 'to_lowercase': this never matches"
    case .toUppercase where !content.isCaseless && content.bytes.contains { (0x61...0x7A).contains($0) }:
      "expected upper case behind 'to_uppercase': this never matches"
    default: nil
    }
  }
}
