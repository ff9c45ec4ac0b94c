internal import AllyDeviceModels
internal import AllyHW
internal import Glibc

/// A guest's memory as its emulator shares it: pieces that come and go, each with its rights, some without anything to
/// map.
///
/// Pieces do not overlap. What has no file behind it, as the BIOS's ROM, is a piece of which no byte can be reached.
struct DMAMap {
  private struct Piece {
    var address: UInt64
    var length: UInt64
    var memory: MappedMemory?
    var rights: AccessRights
    /// Where in its file it begins, and what a keeper knows that by; 0 of one that is not kept.
    var offset: UInt64
    var key: UInt64
  }

  /// The most pieces at a time.
  static let capacity = 1024
  /// Sorted by address.
  private var pieces: [Piece] = []
  /// Addresses from here on are DPI memory's.
  private let end: UInt64

  init(below end: UInt64) { self.end = end }

  var count: Int { pieces.count }

  /// Whether some of the memory was taken away without a word.
  var isLost: Bool { pieces.contains { $0.memory?.isLost == true } }

  /// Adds a piece, and puts it into `memory`. The caller has quiesced whoever uses the memory.
  ///
  /// - Parameters:
  ///   - file: nil of a piece that is not shared.
  ///   - key: what a keeper knows the file by.
  mutating func add(
    address: UInt64, length: UInt64, rights: AccessRights, file: (descriptor: Int32, offset: UInt64)?,
    key: UInt64 = 0, to memory: inout PhysicalMemory
  ) throws(VFIOUserRefusal) {
    let (last, overflow) = address.addingReportingOverflow(length)
    guard length > 0, !overflow, last <= end, (address | length) & 0xFFF == 0 else { throw VFIOUserRefusal(EINVAL) }
    guard pieces.count < Self.capacity else {
      throw VFIOUserRefusal(ENOSPC, "the guest's memory has more than \(Self.capacity) pieces")
    }
    let place = pieces.firstIndex { $0.address >= address } ?? pieces.count
    if place > 0, pieces[place - 1].address + pieces[place - 1].length > address { throw VFIOUserRefusal(EEXIST) }
    if place < pieces.count, pieces[place].address < last { throw VFIOUserRefusal(EEXIST) }
    var mapping: MappedMemory?
    if let file, !rights.isEmpty {
      do {
        let mapped = try MappedMemory(file.descriptor, offset: file.offset, length: length, rights: rights)
        // The piece keeps the mapping as long as it is in the table.
        unsafe try memory.map(
          base: PhysicalAddress(address), length: length, storage: mapped.storage, rights: rights)
        mapping = mapped
      } catch {
        throw VFIOUserRefusal(ENOMEM, "guest memory at \(String(address, radix: 16)) cannot be mapped: \(error)")
      }
    }
    pieces.insert(
      Piece(
        address: address, length: length, memory: mapping, rights: rights, offset: file?.offset ?? 0,
        key: mapping == nil ? 0 : key), at: place)
  }

  /// Takes a piece away, out of `memory` too. The caller has quiesced whoever uses the memory.
  mutating func remove(address: UInt64, length: UInt64, from memory: inout PhysicalMemory) throws(VFIOUserRefusal) {
    guard let place = pieces.firstIndex(where: { $0.address == address && $0.length == length }) else {
      throw VFIOUserRefusal(ENOENT)
    }
    if pieces[place].memory != nil { try? memory.unmap(base: PhysicalAddress(address), length: length) }
    pieces.remove(at: place)
  }

  /// What a keeper knows the pieces' files by.
  var keys: [UInt64] { pieces.map(\.key).filter { $0 != 0 } }

  /// Exchanges the pieces with a record. Those that are restored are mapped anew.
  ///
  /// - Parameter channel: has the files.
  mutating func exchange(
    with record: inout StateRecord, taking channel: KeeperChannel?, into memory: inout PhysicalMemory
  ) {
    var count = pieces.count
    record.exchange(&count)
    if record.isRestoring { removeAll(from: &memory) }
    for index in 0..<count {
      var piece =
        record.isRestoring
        ? Piece(address: 0, length: 0, memory: nil, rights: [], offset: 0, key: 0) : pieces[index]
      record.exchange(&piece.address)
      record.exchange(&piece.length)
      record.exchange(&piece.rights)
      record.exchange(&piece.offset)
      record.exchange(&piece.key)
      guard record.isRestoring else { continue }
      let file = piece.key == 0 ? nil : channel?.take(piece.key)
      // A file that cannot be mapped now leaves a hole, which is a fault of whoever is led there.
      try? add(
        address: piece.address, length: piece.length, rights: piece.rights, file: file.map { ($0, piece.offset) },
        key: piece.key, to: &memory)
      if let file { close(file) }
    }
  }

  mutating func removeAll(from memory: inout PhysicalMemory) {
    for piece in pieces where piece.memory != nil {
      try? memory.unmap(base: PhysicalAddress(piece.address), length: piece.length)
    }
    pieces = []
  }
}
