/// What a DPI core runs, as the service processor puts it into DPI memory (paper §4.1): a header of 128 bytes that is signed,
/// and the image that the header has the digest of.
///
/// | offset | bytes | field |
/// |---|---|---|
/// | 0 | 8 | `AllyImg1` |
/// | 8 | 4 | version of the image; grows with every release |
/// | 12 | 4 | length of the header, 128 |
/// | 16 | 8 | length of the image |
/// | 24 | 8 | where in the image the core begins |
/// | 32 | 32 | SHA-256 of the image |
/// | 64 | 64 | Ed25519 signature of bytes 0 to 63 |
///
/// All numbers are little-endian.
public struct DPIImage: Sendable, Hashable {
  public var version: UInt32
  /// Where the core begins, in bytes from the image's start.
  public var entry: UInt64
  public var contents: [UInt8]
  public var digest: [UInt8]
  public var signature: [UInt8]

  public static var headerLength: Int { 128 }
  public static var digestLength: Int { 32 }
  public static var signatureLength: Int { 64 }
  static var signedLength: Int { 64 }
  static var magic: UInt64 { 0x3167_6D49_796C_6C41 }

  /// An image with its digest and signature.
  public init(version: UInt32, entry: UInt64, contents: [UInt8], digest: [UInt8], signature: [UInt8]) {
    self.version = version
    self.entry = entry
    self.contents = contents
    self.digest = digest
    self.signature = signature
  }

  /// The bytes of the header that are signed.
  public static func signedBytes(version: UInt32, entry: UInt64, length: Int, digest: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: magic)
    bytes.append(littleEndian: version)
    bytes.append(littleEndian: UInt32(headerLength))
    bytes.append(littleEndian: UInt64(length))
    bytes.append(littleEndian: entry)
    bytes.append(contentsOf: digest)
    return bytes
  }

  /// Header and image.
  public var bytes: [UInt8] {
    Self.signedBytes(version: version, entry: entry, length: contents.count, digest: digest) + signature + contents
  }

  /// Reads an image out of DPI memory into memory of its own, so that what is checked is what runs, and checks it: first
  /// the signature of the header, then what the header says.
  ///
  /// - Parameters:
  ///   - range: where the service processor was to put it; nothing outside is read.
  ///   - memory: physical memory, DPI memory included.
  ///   - verifier: checks the signature.
  ///   - minimumVersion: older images are refused, signed or not.
  public init(
    verified range: PhysicalRange, in memory: borrowing PhysicalMemory, by verifier: some ImageVerifier,
    minimumVersion: UInt32 = 0
  ) throws(DPIImageError) {
    guard range.length > UInt64(Self.headerLength) else { throw .absent }
    let header = try Self.read(Self.headerLength, at: range.base, memory)
    guard Self.number(in: header, at: 0, 8) == Self.magic,
      Self.number(in: header, at: 12, 4) == UInt64(Self.headerLength)
    else { throw .absent }
    signature = Array(header[Self.signedLength...])
    guard verifier.isSigned(Array(header[..<Self.signedLength]), with: signature) else { throw .signature }

    version = UInt32(truncatingIfNeeded: Self.number(in: header, at: 8, 4))
    guard version >= minimumVersion else { throw .version(version) }
    let length = Self.number(in: header, at: 16, 8)
    guard length > 0, length <= range.length - UInt64(Self.headerLength) else { throw .length(length) }
    entry = Self.number(in: header, at: 24, 8)
    guard entry < length else { throw .entry(entry) }
    digest = Array(header[32..<Self.signedLength])
    contents = try Self.read(Int(length), at: range.base.advanced(by: UInt64(Self.headerLength)), memory)
    guard verifier.digest(of: contents) == digest else { throw .digest }
  }

  private static func number(in bytes: [UInt8], at offset: Int, _ count: Int) -> UInt64 {
    var value: UInt64 = 0
    for index in 0..<count { value |= UInt64(bytes[offset + index]) << UInt64(8 * index) }
    return value
  }

  private static func read(
    _ count: Int, at address: PhysicalAddress, _ memory: borrowing PhysicalMemory
  ) throws(DPIImageError) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    for offset in 0..<count {
      guard let byte = memory.load(UInt8.self, at: address.advanced(by: UInt64(offset))) else { throw .absent }
      bytes.append(byte)
    }
    return bytes
  }
}

/// How an image's digest and signature are checked: outside, because this module has no cryptography of its own.
public protocol ImageVerifier {
  /// The SHA-256 digest, ``DPIImage/digestLength`` bytes.
  func digest(of bytes: [UInt8]) -> [UInt8]
  /// Whether `signature` is the one of `bytes` by the key that images are signed with. Must accept any bytes.
  func isSigned(_ bytes: [UInt8], with signature: [UInt8]) -> Bool
}

/// Why an image does not run.
public enum DPIImageError: Error, Equatable, Sendable {
  /// There is no image in DPI memory.
  case absent
  /// The header is not signed with the right key, or was changed.
  case signature
  /// The image is older than the oldest that may run.
  case version(UInt32)
  /// The image is empty, or does not fit into the memory that it was to be in.
  case length(UInt64)
  /// The core would begin outside the image.
  case entry(UInt64)
  /// The image is not the one that was signed.
  case digest
}
